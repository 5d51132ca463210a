# shellcheck shell=sh
# Sourced by ./secateur and ./test: makes sure that this machine can build.

minimum_rust=88 # minor version of Rust 1

say() {
    printf 'secateur: %s\n' "$*" >&2
}

stop() {
    say "$*"
    exit 1
}

# Rust: cannot be taken from Debian, whose version may be too old.
need_rust() {
    advice="install Rust 1.$minimum_rust or newer, for example with rustup (https://rustup.rs), and see that cargo is on the PATH"
    for tool in cargo rustc; do
        command -v "$tool" >/dev/null 2>&1 || stop "$tool was not found: $advice"
    done
    version=$(rustc --version 2>/dev/null) || stop "rustc does not run (\"rustup default stable\" sets a toolchain): $advice"
    minor=${version#rustc 1.}
    minor=${minor%%.*}
    case $minor in
    '' | *[!0-9]*) stop "cannot read the version of Rust from \"$version\": $advice" ;;
    esac
    [ "$minor" -ge "$minimum_rust" ] || stop "$version is too old: $advice"
}

# A C compiler: Rust links with it.
need_c_compiler() {
    if command -v cc >/dev/null 2>&1; then
        return
    fi
    command -v apt-get >/dev/null 2>&1 ||
        stop 'no C compiler (cc) was found: install gcc or clang with your system'"'"'s package manager'
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1; then
        as_root=sudo
    else
        stop 'no C compiler (cc) was found, and neither root nor sudo is at hand to install one: run "apt-get install gcc libc6-dev" as root'
    fi
    say "no C compiler (cc) was found: installing gcc and libc6-dev with ${as_root:+$as_root }apt-get"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # an empty as_root is no word
    $as_root apt-get update >&2 || say 'apt-get update failed; trying with the package lists that are there'
    # shellcheck disable=SC2086
    $as_root apt-get install -y --no-install-recommends gcc libc6-dev >&2 || stop 'apt-get could not install gcc and libc6-dev'
    command -v cc >/dev/null 2>&1 || stop 'gcc is installed, but there is still no cc on the PATH'
}

solver_tools_advice='install cmake, a C++ compiler and libclang, on Debian "apt-get install cmake g++ libclang-dev"'

# What HiGHS is built with, installed where that can be done without asking. Fails where it cannot.
get_solver_tools() {
    has_solver_tools && return
    command -v apt-get >/dev/null 2>&1 || return
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        return 1
    fi
    say "installing cmake, g++ and libclang-dev with ${as_root:+$as_root }apt-get"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # an empty as_root is no word
    $as_root apt-get update >&2 || say 'apt-get update failed; trying with the package lists that are there'
    # shellcheck disable=SC2086
    $as_root apt-get install -y --no-install-recommends cmake g++ libclang-dev >&2
    has_solver_tools
}

has_solver_tools() {
    command -v cmake >/dev/null 2>&1 && command -v c++ >/dev/null 2>&1 && has_libclang
}

# Where bindgen looks for it.
has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return
    for library in /usr/lib/llvm*/lib/libclang*.so* /usr/lib/*/libclang*.so* /usr/lib64/libclang*.so* \
        /opt/homebrew/opt/llvm/lib/libclang.dylib /Library/Developer/CommandLineTools/usr/lib/libclang.dylib; do
        case $library in
        *libclang-cpp*) ;;
        *) [ -e "$library" ] && return ;;
        esac
    done
    return 1
}

need_toolchain() {
    need_rust
    need_c_compiler
}
