// A library whose race() reads the environment on one thread while another changes it: for programs of every language, by their ways to
// call C. With RACE in the environment it begins by itself when it is loaded. Without the preload library the process dies.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static time_t end;

static void *change(void *unused)
{
	char name[32];
	void *live[32] = { 0 };
	for (unsigned round = 0; time(NULL) < end; round++) {
		for (int i = 0; i < 400; i++) {
			snprintf(name, sizeof name, "COMES_AND_GOES_%d", i);
			setenv(name, "a value that is there for a moment", 1);
		}
		for (int i = 0; i < 400; i++) {
			snprintf(name, sizeof name, "COMES_AND_GOES_%d", i);
			unsetenv(name);
		}
		clearenv(); // glibc gives its array back here, and where it grows; soon that memory is something else
		for (int i = 0; i < 32; i++) {
			free(live[i]);
			live[i] = malloc(64 + (round + i) * 379 % 16384);
			memset(live[i], 'Z', 64 + (round + i) * 379 % 16384);
		}
	}
	for (int i = 0; i < 32; i++)
		free(live[i]);
	return unused;
}

static void *look(void *unused)
{
	while (time(NULL) < end)
		for (int i = 0; i < 1000; i++)
			getenv("NOT_THERE");
	return unused;
}

// Returns 0 after so many seconds, if it returns.
int race(int seconds)
{
	pthread_t thread;
	end = time(NULL) + seconds;
	pthread_create(&thread, NULL, change, NULL);
	look(NULL);
	return pthread_join(thread, NULL);
}

__attribute__((constructor)) static void start(void)
{
	pthread_t thread;
	const char *seconds = getenv("RACE");
	if (!seconds)
		return;
	end = time(NULL) + atoi(seconds);
	unsetenv("RACE"); // not in what the program starts
	pthread_create(&thread, NULL, change, NULL);
	pthread_create(&thread, NULL, look, NULL);
}
