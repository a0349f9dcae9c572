#!/bin/bash
# SPDX-License-Identifier: MIT
# Logging in at real servers: Basic (nginx), Digest (Apache), .netrc, tokens, client certificates, cookies.  What is wrong
# is said with what to do, at once; nothing secret is shown, or goes to another host by a redirect.
. tests/lib/http.sh
. tests/lib/guests.sh
. tests/lib/qemu.sh
. tests/lib/logins.sh
command -v script >/dev/null || { echo "script is not installed"; exit 77; }

# ---- the options' text is the same wherever they are taken ----
block() { sed -n '/^Proxies and logins/,/^$/p' "$1" | sed 1d; }
for other in nxref nxpack; do
    diff <(block fetch/nxfetch.help) <(block pack/$other.help) || die "$other.help tells of logins otherwise than nxfetch.help"
done
[ "$(block fetch/nxfetch.help | grep -c '^ \+-')" = 17 ] || die "nxfetch.help tells of $(block fetch/nxfetch.help | grep -c '^ \+-') options"

# ---- what is refused before anything is asked ----
usage '--user takes the name only: .*could read a password.*~/.netrc' --user joe:sesame-open
usage '--user: no name' --user ''
usage '--proxy-user takes the name only' --proxy-user joe:proxy-hidden
usage '--proxy: others on this computer could read a password' --proxy http://joe:proxy-hidden@localhost:1
usage '--proxy: not an http, https, socks4' --proxy ftp://localhost
usage '--basic and --digest exclude each other' --basic --digest
usage '--user and --netrc exclude' --user joe --netrc
usage '--bearer-command excludes' --bearer-command 'echo tok-1-hidden' --user joe
usage '--bearer-command: no command' --bearer-command ' '
usage '--key needs --cert' --key x
usage '--pass-file needs --cert' --pass-file x
for rate in 0 1 -5 12X K 5KB 1.5M ''; do
    usage "--limit-rate: '.*' is not a number of bytes a second" --limit-rate "$rate"
done
"$BUILD/nxfetch" cache show --user joe 2>"$WORK/err" && die "cache show takes --user"
grep -q -- '--user means nothing here' "$WORK/err" || die "cache show: $(cat "$WORK/err")"

# ---- nginx: Basic, tokens, cookies, and ways to another host ----
cd "$WORK/www" && ln -s . basic && ln -s . bearer && ln -s . cookie && ln -s . session && ln -s . away && cd "$OLDPWD" || die "folders"
echo "joe:$(openssl passwd -apr1 sesame-open)" >"$WORK/htpasswd"
chmod 755 "$WORK" && chmod 644 "$WORK/htpasswd"
seen_format='log_format seen "$status $uri [$http_authorization] [$http_cookie] $ssl_client_s_dn";'

status=0
start_nginx_plain "$WORK/www" "gzip off; access_log $WORK/other-seen.txt seen;" "$seen_format" || status=$?
started $status nginx || exit 77
other=$SERVER_PORT
cat >"$WORK/gates.conf" <<END
gzip off;
access_log $WORK/seen.txt seen;
location /basic/ { auth_basic "guests"; auth_basic_user_file $WORK/htpasswd; }
location /bearer/ {
    add_header WWW-Authenticate Bearer always;
    if (\$http_authorization != "Bearer tok-1-hidden") { return 401; }
}
location /cookie/ { if (\$cookie_session != "tok-2-hidden") { return 403; } }
location /session/ {
    if (\$cookie_seen != "yes") { add_header Set-Cookie "seen=yes; Path=/session"; return 302 \$uri; }
}
location = /away/host { return 302 http://localhost:$other/a.nxpk; }
location = /away/port { return 302 http://127.0.0.1:$other/a.nxpk; }
location = /forbidden { return 403; }
location = /unknown { add_header WWW-Authenticate Negotiate always; return 401; }
END
start_nginx_plain "$WORK/www" "include $WORK/gates.conf;" "$seen_format" || die nginx
gates=$URL_BASE

url=$gates/basic/a.nxpk
wants='access denied \(HTTP status 401\): the server wants a user name and password: --user NAME asks for it, --netrc takes them from ~/.netrc$'
refused 'Basic: nobody' "$wants"
refused 'no terminal' '--user: the password can only be given on a terminal, or taken from ~/.netrc by --netrc$' --user joe
refused 'no .netrc' '--netrc: .*/home/.netrc: No such file' --netrc
refused 'no such .netrc' '--netrc-file: /nonexistent: No such file' --netrc-file /nonexistent
echo 'machine 127.0.0.1 login joe password sesame-open' >"$WORK/home/.netrc"
echo 'machine 127.0.0.1 login joe password wrong' >"$WORK/wrong.netrc"
echo 'machine example.org login joe password sesame-open' >"$WORK/other.netrc"
refused '.netrc: another host' 'takes none of .netrc for this host$' --netrc-file "$WORK/other.netrc"
refused '.netrc: a wrong password' 'takes none of .netrc for this host$' --netrc-file "$WORK/wrong.netrc"
takes '.netrc' --netrc
takes '.netrc, at once' --netrc --basic
grep -q '^401' <(tail -n 2 "$WORK/seen.txt") && die "--basic waits to be asked"
url=$gates/basic/basic/a.nxpk # a name of its own in the log, which nginx writes when it has answered
refused 'Basic, but no password is to be sent' 'takes none of .netrc for this host$' --netrc --digest
wait_for 20 $$ grep -q '/basic/basic/' "$WORK/seen.txt" || die "--digest: nothing was asked"
same "what --digest sends" "$(grep '/basic/basic/' "$WORK/seen.txt" | sort -u)" '401 /basic/basic/a.nxpk [-] [-] -'
url=http://joe:sesame-open@127.0.0.1:${gates##*:}/basic/a.nxpk
takes 'a password in the URL'
url=http://joe:wrong@127.0.0.1:${gates##*:}/basic/a.nxpk
refused 'a wrong password in the URL' '401\): the server does not take this user name and password$'
url=$gates/basic/a.nxpk

asks_on_terminal sesame-open "Password of joe for $url: " '401): the server does not take this user name and password' "$BUILD/nxfetch pull --user joe $url"

url=$gates/forbidden
refused 'forbidden' 'access denied \(HTTP status 403\)$' --netrc
url=$gates/unknown
refused 'Negotiate' 'the server wants a way to log in that is not known here$'

# The same for the other programs, of the same table.
for command in "nxpack info" "nxref check" "nxref"; do
    out=()
    [ "$command" != nxref ] || out=("$WORK/r.netx")
    read -ra words <<<"$command"
    "$BUILD/${words[0]}" "${words[@]:1}" "$gates/basic/a.nxpk" "${out[@]}" >"$WORK/out" 2>&1 </dev/null && die "$command needs no password"
    grep -q -- '--user NAME asks for it' "$WORK/out" || die "$command: $(cat "$WORK/out")"
    "$BUILD/${words[0]}" "${words[@]:1}" --netrc "$gates/basic/a.nxpk" "${out[@]}" >"$WORK/out" 2>&1 </dev/null ||
        [ "$command" = "nxref check" ] || die "$command: $(cat "$WORK/out")"
    grep -q 'access denied' "$WORK/out" && die "$command --netrc: $(cat "$WORK/out")"
    nothing_shown "$WORK/out"
done

# ---- tokens ----
url=$gates/bearer/a.nxpk
token='echo tok-1-hidden'
refused 'a token: none' '401\): the server wants a token: --bearer-command CMD gives one$'
refused 'a token: a password instead' 'takes none of .netrc' --netrc-file "$WORK/other.netrc"
refused 'a token: a wrong one' '401\): the server does not take the token of --bearer-command$' --bearer-command 'echo tok-9'
refused 'a token: a command that fails' '--bearer-command: exit status 3$' --bearer-command 'exit 3'
refused 'a token: no such command' '--bearer-command: exit status 127$' --bearer-command '/nonexistent/command'
refused 'a token: a command that is killed' '--bearer-command: killed by signal 9$' --bearer-command 'kill -9 $$'
refused 'a token: nothing' '--bearer-command: it prints no token$' --bearer-command 'true'
refused 'a token: two lines' '--bearer-command: what it prints is no token, which is one word$' --bearer-command 'printf "a\r\nX-Evil: b\n"'
refused 'a token: without end' '--bearer-command: it prints more than a token$' --bearer-command 'yes'
takes 'a token' --bearer-command "$token"
takes 'a token, by a pipe' --bearer-command 'printf "tok-1-%s\n" hidden | cat'
"$BUILD/nxpack" info --bearer-command "$token" "$url" >"$WORK/out" 2>&1 || die "nxpack info: $(cat "$WORK/out")"
# A name of this host's that is not plainly its own: the token is not for the way to it.
url=http://nxpk.invalid:${gates##*:}/bearer/a.nxpk
refused 'a token: by http' 'goes by https only, where nobody reads it on the way; --insecure sends it all the same$' --bearer-command "$token"

# ---- cookies ----
url=$gates/cookie/a.nxpk
refused 'a cookie: none' '403'
refused 'a cookie: no file' '--cookie: /nonexistent: No such file' --cookie /nonexistent
echo nothing >"$WORK/cookies.txt"
refused 'a cookie: no cookies' '--cookie: .*/cookies.txt: no cookies in it' --cookie "$WORK/cookies.txt"
printf '# Netscape HTTP Cookie File\nexample.org\tFALSE\t/\tFALSE\t0\tsession\ttok-2-hidden\n' >"$WORK/cookies.txt"
refused 'a cookie: for another host' '403' --cookie "$WORK/cookies.txt"
printf '# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\ttok-2-hidden\n' >"$WORK/cookies.txt"
takes 'a cookie' --cookie "$WORK/cookies.txt"
url=$gates/session/a.nxpk
refused 'a session without cookies' 'Maximum \(5\) redirects followed'
url=$gates/session/session/a.nxpk # a name of its own in the log
takes 'a session' --cookie ''
same 'redirects of a session' "$(grep -c '^302 /session/session/' "$WORK/seen.txt")" 1

# ---- to another host ----
: >"$WORK/other-seen.txt"
for way in host port; do
    url=$gates/away/$way
    # The first host is asked as always, and its redirect followed.
    takes "a password, and another $way" --netrc --basic
    takes "a .netrc of other hosts, and another $way" --netrc-file "$WORK/other.netrc"
    url=http://joe:sesame-open@127.0.0.1:${gates##*:}/away/$way
    takes "a password in the URL, and another $way"
    url=$gates/away/$way
    takes "a token, and another $way" --bearer-command "$token"
done
url=$gates/away/host
takes "a cookie, and another host" --cookie "$WORK/cookies.txt"
grep -v '^206 /a.nxpk \[-\] \[-\]' "$WORK/other-seen.txt" | grep -v '^206 /a.nxpk \[Basic [A-Za-z0-9+/=]*\] \[-\]' && die "the other host was told that"
# .netrc has a password for 127.0.0.1, whatever the port: only there may it have gone.
allowed=$(grep -c 'Basic' "$WORK/other-seen.txt")
at_most "passwords that went to another port, as .netrc says" "$allowed" 2
grep -q 'tok-' "$WORK/other-seen.txt" && die "the other host has seen a token"
grep -q 'tok-1-hidden' "$WORK/seen.txt" || die "the log shows no tokens, so it shows nothing"

# ---- Apache: Digest ----
printf 'joe:guests:%s\n' "$(printf 'joe:guests:sesame-open' | md5sum | cut -d ' ' -f 1)" >"$WORK/htdigest"
status=0
modules=/usr/lib/apache2/modules
start_apache "$WORK/www" "LoadModule authn_core_module $modules/mod_authn_core.so
LoadModule authn_file_module $modules/mod_authn_file.so
LoadModule authz_user_module $modules/mod_authz_user.so
LoadModule auth_digest_module $modules/mod_auth_digest.so
<Location />
    AuthType Digest
    AuthName guests
    AuthUserFile $WORK/htdigest
    Require valid-user
</Location>" || status=$?
if started $status apache2; then
    url=$URL_BASE/a.nxpk
    refused 'Digest: nobody' "$wants"
    refused 'Digest: a wrong password' 'takes none of .netrc for this host$' --netrc-file "$WORK/wrong.netrc"
    takes 'Digest' --netrc
    takes 'Digest and nothing else' --netrc --digest
    refused 'Digest, but Basic only' 'takes none of .netrc for this host$' --netrc --basic
    url=${url/127/joe:sesame-open@127}
    takes 'Digest, by the URL' --digest
fi

# ---- client certificates ----
pki=$WORK/pki
mkdir "$pki"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=clients -keyout "$pki/ca.key" -out "$pki/ca.pem" 2>"$pki/log" || die "$(cat "$pki/log")"
for who in joe eve; do
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$who" -keyout "$pki/$who.key" -out "$pki/$who.csr" 2>"$pki/log" &&
        if [ $who = joe ]; then
            openssl x509 -req -in "$pki/joe.csr" -CA "$pki/ca.pem" -CAkey "$pki/ca.key" -days 2 -out "$pki/joe.pem" 2>"$pki/log"
        else
            openssl x509 -req -in "$pki/eve.csr" -signkey "$pki/eve.key" -days 2 -out "$pki/eve.pem" 2>"$pki/log"
        fi || die "$(cat "$pki/log")"
done
openssl rsa -in "$pki/joe.key" -aes256 -passout pass:sesame-open -out "$pki/locked.key" 2>"$pki/log"
cat "$pki/joe.pem" "$pki/locked.key" >"$pki/both.pem"
openssl pkcs12 -export -in "$pki/joe.pem" -inkey "$pki/joe.key" -passout pass:sesame-open -out "$pki/joe.p12" || die pkcs12
openssl pkcs12 -export -in "$pki/joe.pem" -inkey "$pki/joe.key" -passout pass: -out "$pki/open.p12" || die pkcs12
echo sesame-open >"$pki/pass"
echo wrong >"$pki/wrong"
make_tls_certificate || die "certificate"
http_start_nginx "$WORK/www" "gzip off; access_log $WORK/certs-seen.txt seen; ssl_certificate $CA_FILE; ssl_certificate_key $KEY_FILE;
    ssl_client_certificate $pki/ca.pem; ssl_verify_client on;" 'ssl http2' "$seen_format" || die nginx
url=https://localhost:$SERVER_PORT/a.nxpk
ca=(--cacert "$CA_FILE")
refused 'a certificate: none' 'HTTP status 400; if the server wants a certificate: --cert FILE, --key FILE$' "${ca[@]}"
refused 'a certificate: no file' '--cert: /nonexistent: No such file' "${ca[@]}" --cert /nonexistent
refused 'a certificate: no key' '--cert: .*joe.pem: no private key in it' "${ca[@]}" --cert "$pki/joe.pem"
refused 'a certificate: no key file' '--key: /nonexistent: No such file' "${ca[@]}" --cert "$pki/joe.pem" --key /nonexistent
refused 'a certificate: none in it' '--cert: .*pass: no certificate in it' "${ca[@]}" --cert "$pki/pass"
refused "a certificate: another's key" "--key: .*eve.key: belongs to another certificate$" "${ca[@]}" --cert "$pki/joe.pem" --key "$pki/eve.key"
refused "a certificate that is not believed" 'HTTP status 400$' "${ca[@]}" --cert "$pki/eve.pem" --key "$pki/eve.key"
refused 'a passphrase: no terminal' '--key: .*locked.key: its passphrase can only be given on a terminal, or by --pass-file$' \
    "${ca[@]}" --cert "$pki/joe.pem" --key "$pki/locked.key"
refused 'a passphrase: a wrong one' '--key: .*locked.key: not the passphrase of this key$' "${ca[@]}" --cert "$pki/joe.pem" --key "$pki/locked.key" --pass-file "$pki/wrong"
refused 'a passphrase: a wrong one of PKCS #12' '--cert: .*joe.p12: not the passphrase of this key$' "${ca[@]}" --cert "$pki/joe.p12" --pass-file "$pki/wrong"
refused 'a passphrase: no file' '--pass-file: /nonexistent: No such file' "${ca[@]}" --cert "$pki/both.pem" --pass-file /nonexistent
takes 'a certificate' "${ca[@]}" --cert "$pki/joe.pem" --key "$pki/joe.key"
takes 'a certificate, its key locked' "${ca[@]}" --cert "$pki/joe.pem" --key "$pki/locked.key" --pass-file "$pki/pass"
takes 'a certificate, with its key' "${ca[@]}" --cert "$pki/both.pem" --pass-file "$pki/pass"
takes 'PKCS #12' "${ca[@]}" --cert "$pki/joe.p12" --pass-file "$pki/pass"
takes 'PKCS #12 without a passphrase' "${ca[@]}" --cert "$pki/open.p12"
grep -q '^206 .* CN=joe$' "$WORK/certs-seen.txt" || die "the server has not seen joe: $(cat "$WORK/certs-seen.txt")"
new_cache
on_terminal sesame-open -- "$BUILD/nxfetch pull --ca-cert $CA_FILE --cert $pki/both.pem $url" || die "a passphrase on the terminal: $(cat "$WORK/terminal")"
grep -q "Passphrase of $pki/both.pem: " "$WORK/terminal" || die "the question: $(cat "$WORK/terminal")"

# ---- who is believed without a certificate, and is told a password ----
takes 'not a certificate that is known' --insecure --cert "$pki/joe.pem" --key "$pki/joe.key" --netrc-file "$WORK/other.netrc"
grep -q "warning: --insecure: whoever answers in the server's place learns what you log in with" "$WORK/err" || die "no warning: $(cat "$WORK/err")"
nothing_left
echo "$cases cases"
