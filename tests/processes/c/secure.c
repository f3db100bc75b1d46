// Prints AT_SECURE, whether the preload library is in this process, and what getenv and secure_getenv say of a variable.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

int main(void)
{
	char line[512];
	int loaded = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	while (maps && fgets(line, sizeof line, maps))
		loaded |= strstr(line, "mtsafe_env") != NULL;
	const char *plain = getenv("STEER"), *secure = secure_getenv("STEER");
	printf("AT_SECURE=%lu library=%s getenv=%s secure_getenv=%s", getauxval(AT_SECURE), loaded ? "loaded" : "absent",
	       plain ? plain : "NULL", secure ? secure : "NULL");
	setenv("STEER", "changed", 1);
	secure = secure_getenv("STEER");
	printf(" after-setenv=%s\n", secure ? secure : "NULL");
	return 0;
}
