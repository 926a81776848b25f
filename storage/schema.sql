-- One partition: a SQLite file that holds a span of time by itself. Tables grow with what is
-- distinct (names, stacks, threads); samples are compressed columns, many in a row.
--
-- Ids are dense from 1 in the order of arrival and never change, so a reader that has all up
-- to N asks for id > N. Id 0 is the empty entry: string '', no mapping, the empty stack, no
-- labels, no thread, no wait; it has no row, except for the string. Addresses are 64 bits without
-- sign, kept in SQLite's signed integers: kernel addresses are negative here.
-- Times are whole microseconds: finer than any sampling clock's jitter, and three bits in
-- ten cheaper than nanoseconds. Weights of samples on a CPU stay exact nanoseconds; a wait
-- goes from one such time to another.

PRAGMA application_id = 1215460456;	-- "Hrth"
PRAGMA user_version = 2;		-- raised whenever a reader of the old layout would be wrong

CREATE TABLE partition (
	id           INTEGER PRIMARY KEY CHECK (id = 1),
	start_unix_s INTEGER NOT NULL,	-- batches that start in [start, end) are kept here
	end_unix_s   INTEGER NOT NULL CHECK (end_unix_s > start_unix_s)
) STRICT;

-- One row per time a writer had this partition open. No end: it was killed.
CREATE TABLE run (
	id            INTEGER PRIMARY KEY,
	start_unix_us INTEGER NOT NULL,
	end_unix_us   INTEGER,
	is_clean      INTEGER CHECK (is_clean IN (0, 1))
) STRICT;

CREATE TABLE string (
	id   INTEGER PRIMARY KEY,
	text TEXT NOT NULL	-- as found in the executable: mostly, not surely, UTF-8
) STRICT;
INSERT INTO string (id, text) VALUES (0, '');

CREATE TABLE mapping (
	id          INTEGER PRIMARY KEY,
	start_vaddr INTEGER NOT NULL,
	limit_vaddr INTEGER NOT NULL,
	file_off    INTEGER NOT NULL,
	filename    INTEGER NOT NULL,	-- string
	build_id    INTEGER NOT NULL	-- string, hex
) STRICT;

CREATE TABLE function (
	id          INTEGER PRIMARY KEY,
	name        INTEGER NOT NULL,	-- string, demangled
	system_name INTEGER NOT NULL,	-- string
	filename    INTEGER NOT NULL,	-- string
	start_line  INTEGER NOT NULL
) STRICT;

CREATE TABLE location (
	id        INTEGER PRIMARY KEY,
	mapping   INTEGER NOT NULL,
	vaddr     INTEGER NOT NULL,
	is_folded INTEGER NOT NULL
) STRICT;

-- The functions at a location, innermost inlined callee first. A location gets all its lines
-- at once, with itself or later, and other ones when more is known.
CREATE TABLE line (
	location INTEGER NOT NULL,
	depth    INTEGER NOT NULL,
	function INTEGER NOT NULL,
	line     INTEGER NOT NULL,
	"column" INTEGER NOT NULL,
	PRIMARY KEY (location, depth)	-- serves: the lines of new locations
) STRICT, WITHOUT ROWID;

-- Locations that were named, or named better, after they were stored: for readers that have
-- them already.
CREATE TABLE late_name (
	id       INTEGER PRIMARY KEY,
	location INTEGER NOT NULL
) STRICT;

-- A trie: a stack is its outermost frames (parent) and one frame more.
CREATE TABLE stack (
	id       INTEGER PRIMARY KEY,
	parent   INTEGER NOT NULL CHECK (parent < id),
	location INTEGER NOT NULL
) STRICT;

CREATE TABLE label (
	label_set INTEGER NOT NULL,
	key       INTEGER NOT NULL,	-- string
	value     INTEGER NOT NULL,	-- string
	PRIMARY KEY (label_set, key)	-- serves: new label sets
) STRICT, WITHOUT ROWID;

CREATE TABLE thread (
	id        INTEGER PRIMARY KEY,
	pid       INTEGER NOT NULL,
	tid       INTEGER NOT NULL,
	name      INTEGER NOT NULL,	-- string
	label_set INTEGER NOT NULL
) STRICT;

-- What a waiting sample waited for; id 0: nothing, it is on a CPU.
CREATE TABLE wait (
	id       INTEGER PRIMARY KEY,
	reason   INTEGER NOT NULL,	-- enum wait_reason
	waits_on INTEGER NOT NULL,	-- string
	is_idle  INTEGER NOT NULL
) STRICT;

-- A block of samples of one type. Appends make small ones (level 0), which are merged into
-- larger ones (levels 1, 2) as they add up.
CREATE TABLE segment (
	id            INTEGER PRIMARY KEY,
	tier_s        INTEGER NOT NULL,	-- 0: every sample; else the length of its time buckets
	type          INTEGER NOT NULL,	-- enum profile_type
	level         INTEGER NOT NULL,
	start_unix_us INTEGER NOT NULL,	-- samples lie in [start, end); segments may overlap
	end_unix_us   INTEGER NOT NULL,
	sample_count  INTEGER NOT NULL,
	total_count   INTEGER NOT NULL,	-- rows of its totals
	weight_ns     INTEGER NOT NULL,	-- of all samples
	period_ns     INTEGER NOT NULL	-- nominal time between samples; 0 unknown
) STRICT;
CREATE INDEX segment_by_time ON segment (type, tier_s, end_unix_us);	-- serves: a time range

-- The columns of a segment, each a row, so that a query reads only what it needs.
CREATE TABLE segment_column (
	segment INTEGER NOT NULL,
	"column" INTEGER NOT NULL,	-- enum segment_column
	data    BLOB NOT NULL,		-- storage/column.h
	PRIMARY KEY (segment, "column")	-- serves: every query
) STRICT, WITHOUT ROWID;

-- What became of the sampler's work: one row per append. taken = stored + sum(ledger_drop)
-- + what the sampler had under way.
CREATE TABLE ledger (
	id            INTEGER PRIMARY KEY,
	type          INTEGER NOT NULL,	-- enum profile_type; wall: of both types together
	start_unix_us INTEGER NOT NULL,
	duration_us   INTEGER NOT NULL,
	taken         INTEGER NOT NULL,
	stored        INTEGER NOT NULL
) STRICT;
CREATE INDEX ledger_by_time ON ledger (start_unix_us);	-- serves: health of a time range

CREATE TABLE ledger_drop (
	ledger  INTEGER NOT NULL,
	reason  TEXT NOT NULL,	-- drop_reason_name()
	samples INTEGER NOT NULL CHECK (samples > 0),
	PRIMARY KEY (ledger, reason)
) STRICT, WITHOUT ROWID;
