#!/usr/bin/env bash
# perl with a C library that sets variables behind its back. Before 5.38 perl keeps the environment in memory of its own, grows
# it by realloc and frees it at the end, unless its switch PL_use_safe_putenv says that libc's functions are to do that.
#
#   perl.sh LIBRARY      LIBRARY: c/xs.c
# shellcheck disable=SC2016 # perl's variables
with() { # NAME CODE
    { perl -e 'require DynaLoader; my $l = DynaLoader::dl_load_file(shift, 0) or die; $| = 1;
        DynaLoader::dl_install_xsub("main::$_", DynaLoader::dl_find_symbol($l, $_)) for "c_setenv", "c_replace", "c_unsetenv"; '"$2" "$library" >out 2>&1; } 2>/dev/null
    echo "$1: $?, $(tr '\n' ' ' <out)"
}
library=$1
with "nothing but the library's change" 'c_setenv(); print `printenv FROM_C`'
with "additions after it" 'c_setenv(); $ENV{NEW} = 1; $ENV{"V$_"} = $_ for 1..300; delete $ENV{"V$_"} for 1..299; print `printenv NEW FROM_C V300; env | grep -c ^V`'
with "additions before it" '$ENV{"V$_"} = $_ for 1..300; c_setenv(); delete $ENV{"V$_"} for 1..299; $ENV{V300} = "new"; print `printenv FROM_C V300; env | grep -c ^V`'
with "a replacement" 'c_replace(); $ENV{STABLE} .= " again"; print `printenv STABLE`; $ENV{NEW} = 1; print `printenv NEW`'
with "a removal" 'c_unsetenv(); print `printenv STABLE`; $ENV{STABLE} = "back"; print `printenv STABLE`'
with "all assigned" 'c_setenv(); %ENV = (PATH => "/usr/bin:/bin", Y => 2); delete $ENV{Y}; $ENV{W} = 3; print `env | grep -v ^PWD=`'
with "local" 'c_setenv(); { local $ENV{STABLE} = "inner"; print `printenv STABLE` } print `printenv STABLE FROM_C`; { local @ENV{qw(A B)} = (1, 2); c_setenv(); print `printenv A B` } print `printenv A B`'
with "child" 'c_setenv(); if (!fork) { $ENV{C} = 1; c_setenv(); $ENV{D} = 2; exec "printenv C D FROM_C" } wait; print $? >> 8, "\n"'
with "title" 'c_setenv(); $ENV{A} = 1; $0 = "x" x 300; open F, "/proc/self/cmdline"; $_ = <F>; s/\0+$//; print length, "\n", `printenv A`'
with "thread" 'require threads; c_setenv(); threads->create(sub { $ENV{T} = 1; c_setenv(); print `printenv FROM_C` })->join; $ENV{M} = 2; print `printenv M FROM_C`'
