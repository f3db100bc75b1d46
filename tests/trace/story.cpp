// A C++ program that sets up its locale on a thread while it still sets variables.
#include <atomic>
#include <clocale>
#include <cstdlib>
#include <string>
#include <thread>

static std::atomic<bool> going{true};
static std::atomic<int> set_up{0};

struct Settings {
	__attribute__((noinline)) static void remember(int number)
	{
		setenv(("SETTING_" + std::to_string(number)).c_str(), "on", 1); // culprit
	}
};

int main()
{
	std::thread thread([] {
		while (going) {
			std::setlocale(LC_ALL, ""); // reader
			set_up++;
		}
	});
	for (int number = 0; number < 200; number++) {
		int before = set_up;
		Settings::remember(number);
		while (number % 20 == 0 && set_up == before)
			std::this_thread::yield();
	}
	going = false;
	thread.join();
}
