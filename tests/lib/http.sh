# SPDX-License-Identifier: MIT
# Real web servers for tests.  Sourced by bash with the tree's root as its working directory:
#
#     . tests/lib/http.sh
#     start_nginx "$dir"                 # or start_nxserve, start_apache [--cgi], start_nginx_tls, start_lighttpd ...
#     curl "$URL_BASE/guest.nxpk"
#     stop_servers                       # also by itself when the test ends, if it has no EXIT trap
#
# Each start_* waits until its server answers, and sets
#     URL_BASE      http://127.0.0.1:PORT (https://localhost:PORT with TLS)
#     SERVER_PORT   the port
#     SERVER_PID    the process; stop_server PID stops just this one
#     SERVER_LOG    what it wrote to stderr; SERVER_ACCESS_LOG its access log
#     CA_FILE       after start_nginx_tls and make_tls_certificate: for curl --cacert
# and returns 1 with the server's own words on stderr when it does not start, 77 when it is not installed.

BUILD=${BUILD:-build/gcc}
HTTP_DIR=$(mktemp -d "${TMPDIR:-/tmp}/nxpk-http.XXXXXX") || exit 1
HTTP_PIDS=()
HTTP_COUNT=0
[ -n "$(trap -p EXIT)" ] || trap stop_servers EXIT

# Debian keeps servers in /usr/sbin, which a user's PATH may lack.
http_find() { PATH=$PATH:/usr/sbin:/sbin command -v "$1"; }

# wait_for SECONDS PID COMMAND...: until the command succeeds; 1 when the process ends or time is up.
wait_for() {
    local deadline=$((SECONDS + $1)) pid=$2
    shift 2
    until "$@"; do
        [ $SECONDS -lt $deadline ] || return 1
        kill -0 "$pid" 2>/dev/null || { "$@"; return; } # its last act may have been what we wait for
        sleep 0.02
    done
}

# A folder of its own for the next server, in $HTTP_HOME; readable, since workers may run as somebody else.
http_new_home() {
    HTTP_COUNT=$((HTTP_COUNT + 1))
    HTTP_HOME=$HTTP_DIR/$1-$HTTP_COUNT
    mkdir -p "$HTTP_HOME" && chmod 755 "$HTTP_DIR" "$HTTP_HOME"
    SERVER_LOG=$HTTP_HOME/stderr.log SERVER_ACCESS_LOG=$HTTP_HOME/access.log
}

# Below the ephemeral ports, where no client's socket can be, and where nobody listens, nor on the one behind it: what answers
# there would be another test's.  Who starts the server tries several.
http_guess_port() {
    while SERVER_PORT=$((20000 + (RANDOM * 32768 + RANDOM) % 12000)); do
        http_is_taken "$SERVER_PORT" || http_is_taken $((SERVER_PORT + 1)) || return 0
    done
}
http_is_taken() { grep -q "$(printf ':%04X 0*:0000 0A' "$1")" /proc/net/tcp /proc/net/tcp6; }

http_started() {
    SERVER_PID=$1
    HTTP_PIDS+=("$1")
}

# stop_server PID: end it and wait for that.
stop_server() {
    kill "$1" 2>/dev/null
    wait_for 10 "$1" false
    kill -KILL "$1" 2>/dev/null && echo "http.sh: server $1 did not stop by itself" >&2
    wait "$1" 2>/dev/null
}

# stop_servers: all of them; their folders go too.
stop_servers() {
    local pid
    for pid in "${HTTP_PIDS[@]}"; do
        stop_server "$pid"
    done
    HTTP_PIDS=()
    case $HTTP_DIR in */nxpk-http.*) rm -rf "$HTTP_DIR" ;; esac
}

# start_nxserve DIR [OPTION...]
start_nxserve() {
    local dir=$1 scheme=http host=127.0.0.1
    shift
    case " $* " in *' --tls-cert'*) scheme=https host=localhost ;; esac
    http_new_home nxserve
    SERVER_ACCESS_LOG=$SERVER_LOG
    "$BUILD/nxserve" --port 0 --port-file "$HTTP_HOME/port" "$@" "$dir" 2>"$SERVER_LOG" </dev/null &
    http_started $!
    if ! wait_for 20 "$SERVER_PID" test -s "$HTTP_HOME/port"; then
        cat "$SERVER_LOG" >&2
        return 1
    fi
    SERVER_PORT=$(cat "$HTTP_HOME/port")
    URL_BASE=$scheme://$host:$SERVER_PORT
}

# Run a server's COMMAND on a guessed port, another one if that is taken.  http_configure (a function
# of the caller's) writes the configuration for $SERVER_PORT; the pid file appears once it is bound.
http_run_bound() {
    local try
    for try in 1 2 3 4 5 6 7 8; do
        http_guess_port
        http_configure
        "$@" 2>>"$SERVER_LOG" </dev/null &
        http_started $!
        if wait_for 20 "$SERVER_PID" test -s "$HTTP_HOME/pid"; then
            return 0
        fi
        stop_server "$SERVER_PID"
        grep -qi 'address already in use' "$SERVER_LOG" || break
    done
    cat "$SERVER_LOG" >&2
    return 1
}

# start_nginx DIR [DIRECTIVES]: with nginx/nxpk.conf; DIRECTIVES are more lines for its server block.  Each of its two workers takes
# NGINX_CONNECTIONS, 256 unless set.
start_nginx() {
    http_start_nginx "$1" "include $PWD/nginx/nxpk.conf; ${2:-}" ''
}

# start_nginx_plain DIR [DIRECTIVES [HTTP]]: without our snippet: a host whose admin did nothing.  HTTP are more lines for
# its http block.
start_nginx_plain() {
    http_start_nginx "$1" "${2:-}" '' "${3:-}"
}

# start_nginx_tls DIR [DIRECTIVES]: with nginx/nxpk.conf, HTTPS and HTTP/2, its own certificate in $CA_FILE.
start_nginx_tls() {
    make_tls_certificate || return
    http_start_nginx "$1" "include $PWD/nginx/nxpk.conf; ssl_certificate $CA_FILE;
        ssl_certificate_key $KEY_FILE; ${2:-}" 'ssl http2'
    URL_BASE=https://localhost:$SERVER_PORT
}

# How a configuration of ours for nginx opens, as far as into its http block: as on a site that compresses whatever it can.
http_nginx_opening() {
    [ "$(id -u)" != 0 ] || echo 'user root;'
    cat <<END
daemon off;
worker_processes 2;
pid $HTTP_HOME/pid;
error_log stderr notice;
events { worker_connections ${NGINX_CONNECTIONS:-256}; }
http {
    access_log $SERVER_ACCESS_LOG;
    client_body_temp_path $HTTP_HOME/body;
    proxy_temp_path $HTTP_HOME/proxy;
    fastcgi_temp_path $HTTP_HOME/fastcgi;
    uwsgi_temp_path $HTTP_HOME/uwsgi;
    scgi_temp_path $HTTP_HOME/scgi;
    gzip on;
    gzip_proxied any;
    gzip_types *;
    gzip_min_length 1;
END
}

http_start_nginx() {
    local nginx dir directives=$2 listen=$3 http=${4:-}
    nginx=$(http_find nginx) || { echo 'nginx is not installed'; return 77; }
    dir=$(cd "$1" && pwd -P) || return
    http_new_home nginx
    http_configure() {
        {
            http_nginx_opening
            cat <<END
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    $http
    server {
        listen 127.0.0.1:$SERVER_PORT $listen;
        root "$dir";
        $directives
    }
}
END
        } >"$HTTP_HOME/nginx.conf"
    }
    http_run_bound "$nginx" -p "$HTTP_HOME" -c "$HTTP_HOME/nginx.conf" -e "$SERVER_LOG" || return
    URL_BASE=http://127.0.0.1:$SERVER_PORT
}

# start_apache DIR [--cgi|--plain] [DIRECTIVES]: with apache/nxpk.conf; with --cgi packages are served by
# nxserve as apache/nxserve-cgi.conf sets it up; with --plain as on a host whose admin did nothing.
start_apache() {
    local apache dir modules=/usr/lib/apache2/modules include=$PWD/apache/nxpk.conf m
    apache=$(http_find apache2) || { echo 'apache2 is not installed'; return 77; }
    dir=$(cd "$1" && pwd -P) || return
    shift
    http_new_home apache
    case ${1:-} in
    --cgi)
        include=$PWD/apache/nxserve-cgi.conf
        # A copy that any user may run, wherever the tree lies.
        cp "$BUILD/nxserve" "$HTTP_HOME/nxserve" && chmod 755 "$HTTP_HOME/nxserve"
        shift
        ;;
    --plain) include=/dev/null; shift ;;
    esac
    local directives=${1:-}
    http_configure() {
        {
            echo "ServerRoot $HTTP_HOME"
            for m in mpm_event authz_core mime headers dir env setenvif filter deflate alias actions cgid; do
                echo "LoadModule ${m}_module $modules/mod_$m.so"
            done
            cat <<END
ServerName localhost
Listen 127.0.0.1:$SERVER_PORT
PidFile $HTTP_HOME/pid
Mutex file:$HTTP_HOME default
ScriptSock $HTTP_HOME/cgisock
ErrorLog $HTTP_HOME/stderr.log
LogFormat "%h %l %u %t \"%r\" %>s %b" common
CustomLog $SERVER_ACCESS_LOG common
TypesConfig /etc/mime.types
StartServers 1
ServerLimit 2
ThreadsPerChild 16
MaxRequestWorkers 32
MinSpareThreads 1
MaxSpareThreads 32
DocumentRoot "$dir"
<Directory />
    Require all granted
    AllowOverride All
    Options FollowSymLinks
</Directory>
# As on a site that compresses whatever it can.
SetOutputFilter DEFLATE
Define NXSERVE $HTTP_HOME/nxserve
Define PORT $SERVER_PORT
Include $include
$directives
END
        } >"$HTTP_HOME/apache.conf"
    }
    http_as_www_data
    http_run_bound "${HTTP_AS[@]}" "$apache" -d "$HTTP_HOME" -f "$HTTP_HOME/apache.conf" -D FOREGROUND || return
    URL_BASE=http://127.0.0.1:$SERVER_PORT
}

# Run a server's COMMAND that writes no pid file of its own, as http_run_bound does; it is ready when it answers.
http_run_answering() {
    local try
    for try in 1 2 3 4 5; do
        http_guess_port
        http_configure
        "$@" >>"$SERVER_LOG" 2>&1 </dev/null &
        http_started $!
        URL_BASE=http://127.0.0.1:$SERVER_PORT
        wait_for 30 "$SERVER_PID" curl -so /dev/null "$URL_BASE/" && return 0
        stop_server "$SERVER_PID"
        grep -qi 'address already in use' "$SERVER_LOG" || break
    done
    tail -n 5 "$SERVER_LOG" >&2
    return 1
}

# start_lighttpd DIR [LINES]: with lighttpd/nxpk.conf; LINES stand before it, with the port in the place of @PORT@, and the one
# behind it in that of @NEXT_PORT@.
# start_lighttpd_plain: without our snippet.
start_lighttpd() { http_start_lighttpd "$1" "${2:-}" "include \"$PWD/lighttpd/nxpk.conf\""; }
start_lighttpd_plain() { http_start_lighttpd "$1" "${2:-}" ''; }

http_start_lighttpd() {
    local lighttpd dir lines=$2 include=$3
    lighttpd=$(http_find lighttpd) || { echo 'lighttpd is not installed'; return 77; }
    dir=$(cd "$1" && pwd -P) || return
    http_new_home lighttpd
    http_configure() {
        sed "s/@PORT@/$SERVER_PORT/g; s/@NEXT_PORT@/$((SERVER_PORT + 1))/g" >"$HTTP_HOME/lighttpd.conf" <<END
server.document-root = "$dir"
server.bind = "127.0.0.1"
server.port = $SERVER_PORT
server.modules = ( "mod_deflate" )
deflate.allowed-encodings = ( "gzip" )
mimetype.assign = ( ".txt" => "text/plain" )
$lines
$include
END
    }
    http_run_answering "$lighttpd" -D -f "$HTTP_HOME/lighttpd.conf"
}

# start_caddy DIR [LINES [GLOBAL [ADDRESS]]]: with caddy/nxpk.caddy; LINES stand in the site's block, GLOBAL among the
# global options; ADDRESS is the site's, http://127.0.0.1:@PORT@ unless given, where @PORT@ is the port.
# start_caddy_plain: without our snippet.
start_caddy() { http_start_caddy "$1" "import nxpk
    ${2:-}" "${3:-}" "${4:-}" "import $PWD/caddy/nxpk.caddy"; }
start_caddy_plain() { http_start_caddy "$1" "${2:-}" "${3:-}" "${4:-}" ''; }

http_start_caddy() {
    local caddy dir lines=$2 global=$3 address=${4:-http://127.0.0.1:@PORT@} import=$5
    caddy=$(http_find caddy) || { echo 'caddy is not installed'; return 77; }
    dir=$(cd "$1" && pwd -P) || return
    http_new_home caddy
    http_configure() {
        sed "s/@PORT@/$SERVER_PORT/g" >"$HTTP_HOME/Caddyfile" <<END
{
    admin off
    auto_https off
    $global
}
$import
$address {
    root * $dir
    $lines
    file_server
}
END
    }
    XDG_DATA_HOME=$HTTP_HOME XDG_CONFIG_HOME=$HTTP_HOME \
        http_run_answering "$caddy" run --adapter caddyfile --config "$HTTP_HOME/Caddyfile"
}

# Apache refuses to serve as root.  A test that runs as root starts it as www-data, with root's right to
# read and write whatever is there (a tree below /root, a private temporary folder), so that no mode has to be
# changed for it.  HTTP_AS becomes the command to put in front.
http_as_www_data() {
    HTTP_AS=()
    [ "$(id -u)" = 0 ] || return 0
    HTTP_AS=(setpriv --reuid=www-data --regid=www-data --clear-groups)
    local may=(--inh-caps=+dac_override --ambient-caps=+dac_override)
    ! "${HTTP_AS[@]}" "${may[@]}" true 2>/dev/null || HTTP_AS+=("${may[@]}")
    chown -R www-data "$HTTP_HOME"
}

# A self-signed certificate for localhost and 127.0.0.1 in $CA_FILE, its key in $KEY_FILE.
make_tls_certificate() {
    CA_FILE=$HTTP_DIR/tls.pem KEY_FILE=$HTTP_DIR/tls.key
    [ ! -s "$CA_FILE" ] || return 0
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
        -keyout "$KEY_FILE" -out "$CA_FILE" 2>"$HTTP_DIR/openssl.log" ||
        { cat "$HTTP_DIR/openssl.log" >&2; return 1; }
}
