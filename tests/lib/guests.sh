# SPDX-License-Identifier: MIT
# Guests and their packages for tests and benchmarks, each made once.  Sourced by
# bash with the tree's root as its working directory; everything is below build/.
#
#     . tests/lib/guests.sh
#     guest tiny        # sets GUEST, the folder with domain.xml and its disks
#     package tiny      # the same, and PACKAGE, made of it by nxpack and signed; TRUST, the signer's public key

BUILD=${BUILD:-build/gcc}

# guest NAME: tiny, two, i686, uefi, debian (tests/guests/make-NAME.sh), or a suspended one (make-saved.sh).  Skips the test when it needs root and we are not.
guest() {
    if [[ $1 = debian* ]] && [ "$(id -u)" != 0 ]; then
        echo "the guest debian can be made by root only"
        exit 77
    fi
    case $1 in
    *-saved*) bash tests/guests/make-saved.sh "$1" || return ;;
    *) bash "tests/guests/make-$1.sh" || return ;;
    esac
    GUEST=$PWD/build/guests/$1
}

# The key pair that test packages are signed with: KEY and TRUST.
signing_key() {
    PACKAGES=$(realpath -m "$BUILD/packages")
    mkdir -p "$PACKAGES"
    KEY=$PACKAGES/author.pem TRUST=$PACKAGES/author.pub.pem
    (
        flock 9
        [ -s "$TRUST" ] || { rm -f "$KEY" && "$BUILD/nxpack" keygen "$KEY" >&2; }
    ) 9>"$PACKAGES/.key.lock"
}

# What nxpack is given: the domain XML, or the save of a suspended machine.
packed_from() {
    local save
    for save in "$GUEST"/*.save "$GUEST/domain.xml"; do
        [ ! -e "$save" ] || { echo "$save"; return; }
    done
}

# package NAME [OPTION...]: packed anew when the guest or nxpack has changed.
package() {
    local name=$1 key
    shift
    guest "$name" && signing_key || return
    PACKAGE=$PACKAGES/$name.nxpk
    key=$(echo "$@" | cat - "$GUEST/key" "$BUILD/nxpack" "$TRUST" | sha256sum)
    (
        flock 9
        [ -s "$PACKAGE" ] && [ "$(cat "$PACKAGE.key" 2>/dev/null)" = "$key" ] ||
            { "$BUILD/nxpack" -k "$KEY" "$@" "$(packed_from)" "$PACKAGE" >&2 && echo "$key" >"$PACKAGE.key"; }
    ) 9>"$PACKAGES/.$name.lock"
}
