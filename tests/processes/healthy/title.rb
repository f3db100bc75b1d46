# ruby moves the environment away at its start, to have the room of the kernel's strings for $0.
def show
  puts File.read("/proc/self/cmdline").tr("\0", " ").strip
end
ENV["A"] = "1"
ENV.delete("STABLE")
$0 = "a title of ruby, longer than the arguments were"
show
300.times { |i| ENV["V#{i}"] = "x" }
$0 = "another"
show
puts `printenv A V299 STABLE`
ENV.clear
$0 = "third " * 9
show
ENV["Z"] = "1"
puts `/usr/bin/env -u LD_PRELOAD -u PWD /usr/bin/env`
