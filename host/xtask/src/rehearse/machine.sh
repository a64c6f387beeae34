#!/usr/bin/env bash
# The machine of a rehearsal: Debian 12 made from packages, in namespaces of its own. `cargo xtask rehearse` calls this, as root.
#
#   machine.sh base DIR             makes DIR, a root with the packages below
#   machine.sh root BASE DIR CARGO  makes DIR, a copy of BASE with rustup's programs of the cargo home CARGO
#   machine.sh room DIR             prints how many bytes are free there
#   machine.sh hold NETWORK GROUP ROOT WORKDIR [LOWER TARGET SCRATCH]...
#                                   becomes a machine whose files are ROOT; each LOWER is seen at TARGET, and what is written
#                                   there goes to SCRATCH. NETWORK is `own` or `shared`. Prints "ready" and stays until its
#                                   first process is killed: processes, mounts and its own network end with that
#   machine.sh network PID          connects the machine with first process PID to the world; prints 1 when it is
#   machine.sh run GROUP PID COMMAND...
#                                   runs a command in the machine with first process PID
#   machine.sh leave GROUP          removes the control groups
set -euo pipefail

# What "Debian 12 with the Rust toolchain" has beside Debian's required packages: what rustup and cargo need to fetch and to
# link (certificates, curl, a C compiler), and git for the clone. All else is set-up's to bring. There are no package lists
# either, as in an image of a cloud.
PACKAGES=(ca-certificates curl gcc libc6-dev git)
SUITE=bookworm
MIRROR=http://deb.debian.org/debian

self=$(realpath "${BASH_SOURCE[0]}")

# The mirrors of the machine's apt, or Debian's.
site() { # SUITE DEFAULT
    apt-get indextargets --format '$(RELEASE) $(SITE)' 'Created-By: Packages' 2>/dev/null |
        awk -v suite="$1" -v site="$2" '$1 == suite { site = $2; exit } END { print site }'
}

base() { # DIR
    rm -rf --one-file-system "$1" "$1.part"
    # In a mount namespace, so that nothing stays mounted when this is killed.
    unshare --mount --pid --fork --kill-child --propagation private bash "$self" bootstrap "$1.part"
    mv "$1.part" "$1"
}

bootstrap() { # DIR
    local dir=$1 mirror
    mirror=$(site $SUITE $MIRROR)
    debootstrap --variant=minbase "$SUITE" "$dir" "$mirror"
    cat >"$dir/etc/apt/sources.list" <<-LIST
		deb $mirror $SUITE main
		deb $(site $SUITE-updates "$mirror") $SUITE-updates main
		deb $(site $SUITE-security "$mirror-security") $SUITE-security main
	LIST
    # How this machine reaches its mirrors.
    apt-config dump --format '%F "%v";%n' Acquire::http::Proxy Acquire::https::Proxy Acquire::Check-Date \
        Acquire::Check-Valid-Until Acquire::Retries >"$dir/etc/apt/apt.conf.d/90rehearsal"
    cp --remove-destination /etc/resolv.conf "$dir/etc/resolv.conf"
    mount -t proc proc "$dir/proc"
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        chroot "$dir" sh -ec '
            apt-get update
            apt-get dist-upgrade --yes
            apt-get install --yes --no-install-recommends "$@"
            apt-get clean
            rm -rf /var/lib/apt/lists/*
        ' sh "${PACKAGES[@]}"
    certificates "$dir"
    umount "$dir/proc"
}

# Gives a root the certificates that this machine trusts and Debian does not: a proxy before the registries may have one.
certificates() { # DIR
    local bundle=/etc/ssl/certs/ca-certificates.crt to=$1/usr/local/share/ca-certificates
    if [ ! -e "$bundle" ]; then return; fi
    mkdir -p "$to"
    if awk -v to="$to" '
        /BEGIN CERTIFICATE/ { text = "" }
        { text = text $0 "\n" }
        /END CERTIFICATE/ {
            if (FNR == NR) { known[text] = 1 }
            else if (!(text in known)) { printf "%s", text > (to "/machine-" ++count ".crt") }
        }
        END { exit !count }
    ' "$1$bundle" "$bundle"; then
        chroot "$1" update-ca-certificates >/dev/null
    fi
}

# --- So far, what decides how a base looks: another text above makes a new one.

root() { # BASE DIR CARGO
    cp -a --reflink=auto "$1" "$2"
    local bin=$2/root/.cargo/bin proxy
    mkdir -p "$bin"
    cp -a "$3/bin/rustup" "$bin/"
    # Only these: other programs there may have been installed by hand.
    for proxy in cargo rustc rustdoc rustfmt cargo-fmt cargo-clippy clippy-driver; do
        ln -s rustup "$bin/$proxy"
    done
}

room() { # DIR
    df --output=avail -B1 "$1" | tail -n 1
}

# The control groups of this process, one in each hierarchy: of version 1, or the unified one.
groups() { # GROUP
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo "/sys/fs/cgroup/$1"
        return
    fi
    local hierarchy controllers path
    while IFS=: read -r _ controllers path; do
        hierarchy=${controllers#name=}
        hierarchy=/sys/fs/cgroup/${hierarchy:-unified}
        if [ -e "$hierarchy/cgroup.procs" ]; then
            # Below the own one, whose limits hold for the machine too.
            path=${path%/"$1"}
            echo "$hierarchy${path%/}/$1"
        fi
    done </proc/self/cgroup
}

enter_groups() { # GROUP
    local group
    for group in $(groups "$1"); do
        mkdir -p "$group"
        # Without processors and memory nothing may run there.
        if [ -e "$group/cpuset.cpus" ] && [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then
            cat "$group/../cpuset.cpus" >"$group/cpuset.cpus"
            cat "$group/../cpuset.mems" >"$group/cpuset.mems"
        fi
        # A unified group that hands controllers on has no processes itself.
        if [ -d "$group/init" ]; then group=$group/init; fi
        echo $$ >"$group/cgroup.procs"
    done
}

leave() { # GROUP
    local group attempt
    for group in $(groups "$1"); do
        # The last processes may be ending still.
        for attempt in {1..100}; do
            if [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; then continue 2; fi
            sleep 0.05
        done
        echo "$group is still in use after $attempt attempts" >&2
        return 1
    done
}

hold() { # NETWORK GROUP ROOT WORKDIR [LOWER TARGET SCRATCH]...
    local network=()
    if [ "$1" = own ]; then network=(--net); fi
    enter_groups "$2"
    # What called this takes it along when it dies.
    exec setpriv --pdeathsig KILL unshare --mount --uts --ipc "${network[@]}" --pid --cgroup --fork \
        --kill-child=KILL --propagation private bash "$self" inside "$1" "${@:3}"
}

inside() { # NETWORK ROOT WORKDIR [LOWER TARGET SCRATCH]...
    local network=$1 root=$2 workdir=$3 name=rehearsal
    shift 3
    mount --bind "$root" "$root"
    cd "$root"
    while [ $# -gt 0 ]; do
        mkdir -p "$root$2" "$3/upper" "$3/work"
        mount -t overlay -o "lowerdir=$1,upperdir=$3/upper,workdir=$3/work,redirect_dir=on" \
            overlay "$root$2"
        shift 3
    done

    mount -t proc -o nosuid,nodev,noexec proc proc
    mount -t sysfs -o nosuid,nodev,noexec sysfs sys
    devices
    cgroups
    # The modules belong to the kernel, which is the machine's.
    if [ -d "/lib/modules/$(uname -r)" ]; then
        mkdir -p lib/modules
        mount --bind -o ro /lib/modules lib/modules
    fi

    hostname "$name"
    printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" >etc/hosts
    echo "$name" >etc/hostname
    certificates .
    cp --remove-destination /etc/resolv.conf etc/resolv.conf
    if [ "$network" = own ]; then
        # Where slirp4netns answers.
        echo nameserver 10.0.2.3 >etc/resolv.conf
        ip link set lo up
        # A cloud's metadata service is this machine's, not the rehearsal's.
        ip route add blackhole 169.254.0.0/16
    fi

    pivot_root . mnt
    umount -l /mnt
    cd "$workdir"
    # Process 1: it takes note of the ends of all orphans, and is all that has to be killed.
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -c 'echo ready; exec >/dev/null; while :; do sleep infinity & wait; done'
}

devices() {
    mount -t tmpfs -o nosuid,mode=755 dev dev
    local device name major minor
    for device in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0'; do
        read -r name major minor <<<"$device"
        mknod -m 666 "dev/$name" c "$major" "$minor"
    done
    mkdir dev/pts dev/shm dev/net dev/mqueue
    if [ -e /dev/fuse ]; then mknod -m 666 dev/fuse c 10 229; fi
    if [ -e /dev/net/tun ]; then mknod -m 666 dev/net/tun c 10 200; fi
    ln -s /proc/self/fd dev/fd
    ln -s /proc/self/fd/0 dev/stdin
    ln -s /proc/self/fd/1 dev/stdout
    ln -s /proc/self/fd/2 dev/stderr
    ln -s pts/ptmx dev/ptmx
    mount -t devpts -o newinstance,mode=620,ptmxmode=666,gid=5 devpts dev/pts
    mount -t tmpfs -o nosuid,nodev shm dev/shm
    mount -t mqueue mqueue dev/mqueue
    mount -t tmpfs -o nosuid,nodev,mode=755 run run
    mkdir -p -m 1777 run/lock
}

# The hierarchies as this machine has them, seen from the own groups.
cgroups() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        mount -t cgroup2 cgroup2 sys/fs/cgroup
        # Controllers are handed on only by a group that has no processes itself.
        mkdir sys/fs/cgroup/init
        echo $$ >sys/fs/cgroup/init/cgroup.procs
        local controller
        for controller in $(cat sys/fs/cgroup/cgroup.controllers); do
            echo "+$controller" >sys/fs/cgroup/cgroup.subtree_control || true
        done
        return
    fi
    mount -t tmpfs -o nosuid,nodev,noexec,mode=755 cgroup sys/fs/cgroup
    local _ hierarchy options at
    while read -r _ at hierarchy options _; do
        case $hierarchy:$at in
        cgroup:/sys/fs/cgroup/*)
            # Of the options, only those that say which hierarchy it is.
            options=$(tr , '\n' <<<"$options" | grep -vxE 'r[wo]|relatime|no[a-z]+|xattr|release_agent=.*' | paste -sd,)
            mkdir -p "sys/fs/cgroup/${at##*/}"
            mount -t cgroup -o "$options" cgroup "sys/fs/cgroup/${at##*/}"
            ;;
        cgroup2:/sys/fs/cgroup/*)
            mkdir -p "sys/fs/cgroup/${at##*/}"
            mount -t cgroup2 cgroup2 "sys/fs/cgroup/${at##*/}"
            ;;
        esac
    done </proc/mounts
}

network() { # PID
    exec setpriv --pdeathsig KILL slirp4netns --configure --mtu=1500 --disable-host-loopback --ready-fd=3 "$1" tap0 \
        3>&1 >&2
}

run() { # GROUP PID COMMAND...
    local pid=$2
    enter_groups "$1"
    exec nsenter --target "$pid" --mount --uts --ipc --net --pid --cgroup --root --wd -- "${@:3}"
}

"$@"
