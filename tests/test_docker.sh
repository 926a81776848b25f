#!/usr/bin/env bash
# The Dockerfile builds, and what it builds samples this machine. Debian's buildah and podman, on
# a base image made by debootstrap, so no registry is asked. Run by `./dev test docker`, as root.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }

port=${HEARTH_DOCKER_PORT:-4140}
work=$(mktemp -d -p /var/tmp hearth-docker-XXXXXX)
base=build/docker/base.tar # kept, as it takes a minute
trusted=/etc/ssl/certs/ca-certificates.crt # what this machine trusts, npm shall trust, too
name=hearth-test-$$

cat >"$work/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$work/graph"
runroot = "$work/run"
END
cat >"$work/registries.conf" <<END
unqualified-search-registries = ["docker.io"]
END
cat >"$work/containers.conf" <<END
[engine]
cgroup_manager = "cgroupfs"
END
echo "cafile=/run/trusted.crt" >"$work/npmrc"
export CONTAINERS_STORAGE_CONF=$work/storage.conf
export CONTAINERS_REGISTRIES_CONF=$work/registries.conf
export CONTAINERS_CONF=$work/containers.conf

clean_up()
{
	podman --runtime runc rm --force --time 2 "$name" >/dev/null 2>&1 || true
	buildah rmi --all --force >/dev/null 2>&1 || true
	umount "$work/graph/overlay" 2>/dev/null || true
	rm -rf "$work"
}
trap clean_up EXIT

fail()
{
	echo "FAIL  $*"
	podman --runtime runc logs "$name" 2>&1 | tail -20 || true
	exit 1
}

make_base()
{
	[ ! -f "$base" ] || return 0
	local mirror
	mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' \
		'Codename: bookworm' | head -1)
	debootstrap --variant=minbase bookworm "$work/base" $mirror >"$work/debootstrap.log" ||
		{ tail "$work/debootstrap.log"; exit 1; }
	mkdir -p "$(dirname "$base")"
	tar -C "$work/base" --one-file-system -cf "$base.new" .
	mv "$base.new" "$base"
	rm -rf "$work/base"
}

# until SECONDS COMMAND...
until_true()
{
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $deadline ] || return 1
		read -r -t 0.2 <> <(:) || true
	done
}

answers() { curl -fs -o "$work/answer" "http://127.0.0.1:$port$1"; }
samples_flow()
{
	answers /api/v1/status && python3 - "$work/answer" <<'END'
import json, sys
status = json.load(open(sys.argv[1]))
sys.exit(not (status["sampling"] and status["ledger"]["user"]["stored"] > 20))
END
}

make_base
podman import "$base" docker.io/library/debian:bookworm-slim >/dev/null
buildah bud --isolation chroot --network host --pull-never -t hearth \
	-v "$trusted:/run/trusted.crt:ro" -v "$work/npmrc:/root/.npmrc:ro" . \
	>"$work/build.log" 2>&1 || { tail -40 "$work/build.log"; fail "the image does not build"; }
echo "ok    the image builds"

run()
{
	podman --runtime runc run --ulimit nofile=1024:20000 --ulimit nproc=4096:4096 \
		--network host "$@"
}

run --rm hearth --version | grep -qE '^hearth [0-9]' || fail "hearth --version"
for tool in gcc clang cmake npm make; do
	! run --rm --entrypoint /bin/sh hearth -c "command -v $tool" >/dev/null ||
		fail "the final image has $tool"
done
echo "ok    it runs, without compilers"

run --detach --name "$name" --privileged --pid=host hearth \
	serve --listen "127.0.0.1:$port" >/dev/null || fail "the container does not start"
until_true 30 answers /readyz || fail "/readyz does not answer"
until_true 30 samples_flow || fail "no samples: $(cat "$work/answer")"
answers / && grep -q '<html' "$work/answer" || fail "the page is not in the image"
echo "ok    it samples this machine and serves the page"

podman --runtime runc stop --time 20 "$name" >/dev/null
code=$(podman --runtime runc inspect --format '{{.State.ExitCode}}' "$name")
[ "$code" = 0 ] || fail "stopped with exit $code"
echo "ok    it ends cleanly"
