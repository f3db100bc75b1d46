// Crashes of kinds that backtraces/crash.c has not, for the second corpus: see `make`.
//
//   crash KIND
//
// Kinds that begin with `race` die of a change of the environment beside a read; all others of something else. A handler of another
// library prints the backtrace if the program was built with one of GLOG, ABSL or BACKWARD.
#include <arpa/inet.h>
#include <algorithm>
#include <atomic>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <iconv.h>
#include <iomanip>
#include <iostream>
#include <libintl.h>
#include <locale>
#include <map>
#include <memory>
#include <netdb.h>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <syslog.h>
#include <thread>
#include <unistd.h>
#include <vector>
#ifdef GLOG
#include <glog/logging.h>
#endif
#ifdef ABSL
#include <absl/debugging/failure_signal_handler.h>
#include <absl/debugging/symbolize.h>
#endif
#ifdef BACKWARD
#define BACKWARD_HAS_DW 1
#include <backward.hpp>
#endif

extern char **environ;

namespace config {
class Store {
public:
	// Settings of a request become variables, and go again.
	void apply(unsigned round)
	{
		for (int i = 0; i < 300; i++)
			setenv(("SERVICE_" + std::to_string(i)).c_str(), "a value of some length, as they are", 1);
		clearenv();
		std::vector<std::unique_ptr<std::string>> garbage;
		for (int i = 0; i < 32; i++)
			garbage.push_back(std::make_unique<std::string>(64 + (round + i) * 379 % 16384, 'Z'));
	}
};
}

static void writer()
{
	config::Store store;
	for (unsigned round = 0;; round++)
		store.apply(round);
}

template <class F> [[noreturn]] static void serve(F request)
{
	for (;;)
		request();
}

struct Widget {
	virtual ~Widget() = default;
	virtual int area() { return 1; }
	std::string name;
};

static int ackermann(int m, int n) { return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1)); }

static void run(const std::string &kind)
{
	char *volatile none = nullptr;
	if (kind == "race-locale") serve([] { std::locale here(""); });
	if (kind == "race-zone") serve([] { std::time_t now = 0; std::ostringstream out; out << std::put_time(std::localtime(&now), "%c"); });
	if (kind == "race-address") serve([] { addrinfo hints{}, *found = nullptr; hints.ai_flags = AI_NUMERICSERV; hints.ai_socktype = SOCK_STREAM; if (!getaddrinfo("localhost", "80", &hints, &found)) freeaddrinfo(found); });
	if (kind == "race-text") { setlocale(LC_ALL, "C.UTF-8"); serve([] { bindtextdomain("none", "/tmp"); dcgettext("none", "text", LC_MESSAGES); }); }
	if (kind == "race-iconv") serve([] { iconv_t converter = iconv_open("UTF-16", "KOI8-R"); if (converter != (iconv_t)-1) iconv_close(converter); });
	if (kind == "race-strftime") serve([] { char text[99]; tm moment{}; moment.tm_year = 100; std::strftime(text, sizeof text, "%Z %s", &moment); });
	if (kind == "race-home") serve([] { const char *home = std::getenv("HOME"); static std::atomic<bool> there; there = home != nullptr; });
	if (kind == "race-temporary") serve([] { std::free(tempnam(nullptr, "abc")); });
	if (kind == "race-exec") serve([] { FILE *in = popen("exit 0", "r"); if (in) pclose(in); });
	if (kind == "atoi-of-unset") std::printf("%d\n", std::atoi(std::getenv("NOT_SET")));
	if (kind == "length-of-unset") std::printf("%zu\n", std::strlen(std::getenv("NOT_SET")));
	if (kind == "string-of-unset") std::cout << std::string(std::getenv("NOT_SET"));
	if (kind == "copy-of-unset") { static char room[16]; std::strcpy(room, std::getenv("NOT_SET")); }
	if (kind == "throw") throw std::runtime_error("cannot read the environment file");
	if (kind == "at") std::cout << std::vector<int>(3).at(kind.size());
	if (kind == "pure") { auto *widget = new Widget; delete widget; std::memset((void *)widget, 0x5a, sizeof *widget); std::cout << widget->area(); }
	if (kind == "null-member") { Widget *volatile widget = nullptr; std::cout << widget->name.size() << widget->name; }
	if (kind == "regex") std::cout << std::regex_match(std::string(300000, 'a'), std::regex("(a|b)*"));
	if (kind == "recursion") std::cout << ackermann(4, 2);
	if (kind == "overflow") { auto *room = new char[24]; std::memset(room, 'x', 96); auto *other = new char[24]; delete[] room; delete[] other; setenv("A_NAME", std::string(3000, 'v').c_str(), 1); for (int i = 0; i < 99; i++) setenv(("N" + std::to_string(i)).c_str(), std::string(200 + i * 64, 'v').c_str(), 1); }
	if (kind == "map") { std::map<int, int> *volatile map = (std::map<int, int> *)64; (*map)[1] = 2; }
	if (kind == "sort") { std::vector<int> list(64, 1); std::sort(list.begin(), list.end(), [](int, int) { return true; }); std::vector<std::string> names(200, "x"); std::sort(names.begin(), names.end(), [](auto &, auto &) { return true; }); }
	if (kind == "divide") { volatile int zero = 0; std::cout << 1 / zero; }
	if (kind == "gettext-bad") { setlocale(LC_ALL, "C.UTF-8"); bindtextdomain("none", "/tmp"); std::puts(dgettext((const char *)8, "text")); }
	if (kind == "strftime-bad") { char text[9]; tm moment{}; std::strftime(text, 9, (const char *)8, &moment); }
	if (kind == "syslog-bad") syslog(LOG_INFO, "%s", (const char *)8);
	if (kind == "hints-bad") { addrinfo *found; getaddrinfo("localhost", "80", (addrinfo *)8, &found); }
	if (kind == "iconv-bad") iconv_open("UTF-8", (const char *)8);
	if (kind == "environ-gone" || kind == "environ-gone-threads") { auto *list = (char **)aligned_alloc(4096, 1 << 20); std::memset(list, 0, 1 << 20); static char entry[] = "A=b"; list[0] = entry; environ = list; free(list); std::puts(std::getenv("B")); }
	if (kind == "string-gone" || kind == "string-gone-threads") { char *text = (char *)malloc(1 << 20); std::strcpy(text, "AN_ENTRY=its value"); putenv(text); free(text); std::puts(std::getenv("B")); }
	if (kind == "abort-while-writing") abort();
	if (kind == "null-while-writing") *none = 1;
	if (kind == "format-while-writing") std::printf("%s%d\n", (const char *)16, 1);
	if (kind == "unlocked") { std::vector<int> list; std::thread a([&] { for (;;) list.push_back(1); }); for (;;) { list.clear(); list.shrink_to_fit(); } }
}

int main(int, char **words)
{
	std::string kind = words[1];
#ifdef GLOG
	google::InitGoogleLogging(words[0]);
	google::InstallFailureSignalHandler();
#endif
#ifdef ABSL
	absl::InitializeSymbolizer(words[0]);
	absl::InstallFailureSignalHandler({});
#endif
#ifdef BACKWARD
	backward::SignalHandling handling;
#endif
	if (kind.rfind("race", 0) == 0 || kind.find("while-writing") != std::string::npos)
		std::thread(writer).detach();
	if (kind.find("threads") != std::string::npos)
		std::thread([] { for (;;) sleep(1); }).detach();
	usleep(3000);
	if (kind == "environ-gone" || kind == "string-gone")
		run(kind); // no thread was ever made
	else
		std::thread(run, kind).join();
}
