# Ruby releases its lock while getaddrinfo runs; other Ruby threads assign ENV meanwhile.
require "socket"
finish = Process.clock_gettime(Process::CLOCK_MONOTONIC) + ARGV[0].to_f
going = -> { Process.clock_gettime(Process::CLOCK_MONOTONIC) < finish }
ENV["STABLE"] = "stable"
lost = 0
writers = 2.times.map do |n|
  Thread.new do
    while going.call
      500.times do |i|
        ENV["V#{n}_#{i}"] = "x" * (i % 40)
        "x" * (i * 16) # what libc frees is soon something else, as in any program
      end
      500.times { |i| ENV.delete("V#{n}_#{i}") }
      lost += 1 if ENV["STABLE"] != "stable"
    end
  end
end
# A name without dots: libc looks for HOSTALIASES before it asks the name server (which is out of reach).
readers = 4.times.map do
  Thread.new do
    while going.call
      begin
        Addrinfo.getaddrinfo("nosuchhost", 80)
      rescue SocketError
        next
      end
    end
  end
end
readers.each(&:join)
writers.each(&:join)
exit(lost.zero?)
