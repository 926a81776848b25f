// wait_node: the main thread in its event loop, a worker in Atomics.wait, one of libuv's threads
// in a read of a pipe that nobody writes to. Prints its pid when all wait, and ends when its
// standard input does.
'use strict';
const fs = require('fs');
const { Worker, isMainThread, parentPort } = require('worker_threads');

if (isMainThread) {
	new Worker(__filename).once('message', () => {
		fs.open(process.argv[2], 'r+', (error, fd) => {
			if (error)
				throw error;
			fs.read(fd, Buffer.alloc(1), 0, 1, null, () => {});
			setTimeout(() => console.log(process.pid), 700);
		});
	});
	// exit() would wait for the thread that reads.
	process.stdin.on('end', () => process.kill(process.pid, 'SIGKILL')).resume();
} else {
	parentPort.postMessage('begins');
	Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
