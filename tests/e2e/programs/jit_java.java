import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.Random;

/**
 * Runs hot (7 parts of the time) and warm (3 parts) until it is ended; says so on its standard
 * output when they have run for that many seconds of CPU time and are compiled.
 */
class Burn {
	static int sum;

	/* Each round needs the result of the one before: all take the same time. */
	static int hot(int rounds) {
		int x = 0;
		for (int i = 0; i < 7 * rounds; i++)
			x = (x * 31 + i) ^ (x >>> 7);
		return x;
	}

	static int warm(int rounds) {
		int x = 0;
		for (int i = 0; i < 3 * rounds; i++)
			x = (x * 31 + i) ^ (x >>> 7);
		return x;
	}

	static int outer(int rounds) {
		return hot(rounds) + warm(rounds);
	}

	/* Parts differ in length, so that no sampling clock keeps step with them. */
	static void burn() {
		Random random = new Random(1);
		for (;;)
			sum += outer(2000 + random.nextInt(6000));
	}

	public static void main(String[] args) throws Exception {
		ThreadMXBean threads = ManagementFactory.getThreadMXBean();
		Thread thread = new Thread(Burn::burn, "burn");
		thread.start();
		while (threads.getThreadCpuTime(thread.getId()) < Long.parseLong(args[0]) * 1000000000L)
			Thread.sleep(20);
		System.out.println("warm");
		thread.join();
	}
}
