// C++: std::locale("") reads LC_ALL, LC_* and LANG inside libc while another thread sets variables.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <locale>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

int main(int, char **argv)
{
	auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[1]));
	auto going = [end] { return std::chrono::steady_clock::now() < end; };
	setenv("LC_ALL", "C", 1);
	std::vector<std::thread> threads;
	std::atomic<int> wrong{0};
	for (int n = 0; n < 2; n++)
		threads.emplace_back([=] {
			while (going()) {
				for (int i = 0; i < 500; i++)
					setenv(("V" + std::to_string(n) + "_" + std::to_string(i)).c_str(), std::string(i % 40, 'x').c_str(), 1);
				for (int i = 0; i < 500; i++)
					unsetenv(("V" + std::to_string(n) + "_" + std::to_string(i)).c_str());
			}
		});
	for (int n = 0; n < 2; n++)
		threads.emplace_back([=, &wrong] {
			while (going()) {
				try {
					if (std::locale("").name() != "C")
						wrong++;
				} catch (const std::runtime_error &) { // what a missed LC_ALL looks like
					wrong++;
				}
				std::time_t t = 0;
				std::tm tm;
				tzset();
				localtime_r(&t, &tm);
			}
		});
	for (auto &thread : threads)
		thread.join();
	return wrong != 0;
}
