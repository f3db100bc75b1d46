#!/usr/bin/env bash
# Programs that preload libraries of their own; they put them before ours.
#
#   wrappers.sh faketime|fakeroot|fakechroot
# shellcheck disable=SC2016 # for inner shells
case $1 in
faketime)
    faketime -f '@2001-02-03 04:05:06' bash -c 'cat /proc/$$/maps >maps; date +%F; TZ=Asia/Tokyo date +%H; env -u FAKETIME date +%F >/dev/null
        perl -e "\$ENV{TZ} = q(Asia/Tokyo); print 1900 + (gmtime)[5], qq(\n)"
        /usr/bin/python3 -c "import os, time; os.environ[\"TZ\"] = \"Asia/Tokyo\"; time.tzset(); print(time.strftime(\"%F %H\"))"
        FAKETIME="@2002-03-04 00:00:00" date +%F; printenv FAKETIME STABLE'
    ;;
fakeroot)
    fakeroot bash -c 'cat /proc/$$/maps >maps; id -u; touch f; chown 12:34 f; stat -c %u:%g f; env A=1 stat -c %u:%g f
        /usr/bin/python3 -c "import os; os.environ[\"X\"] = \"1\"; os.system(\"printenv X; stat -c %u f\"); del os.environ[\"X\"]; print(os.stat(\"f\").st_gid)"
        for i in 1 2 3; do env -u STABLE "V$i=$i" sh -c "stat -c %g f; env | grep ^V"; done; printenv STABLE'
    ;;
fakechroot) # its clearenv keeps what it needs itself
    fakechroot bash -c 'cat /proc/$$/maps >maps; printenv FAKECHROOT; env A=1 printenv A STABLE; env -i B=2 env | cut -d= -f1 | grep -v LD_; mkdir -p x/etc; echo in >x/etc/f
        cp "$(command -v busybox)" x/ && chroot x /busybox cat /etc/f; /usr/bin/python3 -c "import os; os.environ[\"X\"] = \"1\"; os.system(\"printenv X FAKECHROOT\")"'
    ;;
esac
loaded maps
