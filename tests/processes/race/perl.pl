# Perl interpreter threads: the main one assigns %ENV, others resolve names and format times inside libc.
use strict;
use warnings;
use threads;
use Socket qw(getaddrinfo);
use POSIX ();
use Time::HiRes qw(time);
my $end = time + $ARGV[0];
my @readers = map {
    threads->create(
        sub {
            while (time < $end) {
                POSIX::tzset();
                POSIX::mktime(0, 0, 0, 1, 0, 100);
                getaddrinfo("localhost", 80);
            }
        }
    )
} 1 .. 3;
$ENV{STABLE} = "stable";
my $lost = 0;
while (time < $end) {
    $ENV{"V$_"} = "x" x ($_ % 40) for 1 .. 500;
    delete $ENV{"V$_"} for 1 .. 500;
    $lost++ if `printenv STABLE` ne "stable\n";
}
$_->join for @readers;
exit($lost ? 1 : 0);
