#!/usr/bin/env bash
# cron in a mount namespace with a crontab of its own, under a clock that reaches the next minute soon. It builds the jobs'
# environments from the lines of the crontab and from PAM.
# shellcheck disable=SC2016,SC2238 # for an inner shell; a file named crontab
mkdir jobs spool run
mkdir spool/crontabs
cat >crontab <<C
SHELL=/bin/sh
PATH=/usr/bin:/bin
ADDED="a b"
TZ=Asia/Tokyo
* * * * * root cd $PWD && { cat /proc/\$PPID/maps >maps; tr '\0' '\n' </proc/\$\$/environ; printenv ADDED; date -d @0 +\%H; } >part && mv part out
C
clock=$(ldconfig -p | sed -n 's/.*libfaketimeMT.so.1 .*=> //p' | head -1)
clock=${clock:-/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1}
unshare -m bash -c 'mount --bind jobs /etc/cron.d && mount --bind crontab /etc/crontab && mount --bind spool /var/spool/cron && mount --bind run /run &&
    FAKETIME="@2020-01-01 00:00:58 x20" LD_PRELOAD=$0${LD_PRELOAD:+:$LD_PRELOAD} exec cron -f' "$clock" &
pid=$!
for ((i = 0; i < 300; i++)); do
    [ -e out ] && break
    sleep 0.05
done
kill $pid
wait $pid
cat out
loaded maps
