// A program under libfakechroot that clears its environment: its root must stay where it is.
//
//   chrooted FILE      FILE: is only in that root
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	printf("before: %s\n", access(argv[1], F_OK) ? "gone" : "there");
	if (clearenv())
		return 1;
	printf("after clearenv: %s\n", access(argv[1], F_OK) ? "gone" : "there");
	return 0;
}
