# SPDX-License-Identifier: MIT
# Caches of a site, as nginx/ and varnish/ set them up, in front of the server that was started last.  Sourced after
# tests/lib/http.sh; each start_* sets what those there do, and the origin's port stays in ORIGIN_PORT.
#
#     start_nginx_tls "$dir" && start_nginx_cache
#     start_nxserve "$dir" && start_varnish_cache

start_nginx_cache() {
    local nginx
    nginx=$(http_find nginx) || { echo 'nginx is not installed'; return 77; }
    ORIGIN_PORT=$SERVER_PORT
    http_new_home nginx-cache
    http_configure() {
        {
            http_nginx_opening
            sed "s/origin.example.org:443/localhost:$ORIGIN_PORT/; s/origin.example.org/localhost/g
                s,/etc/ssl/certs/ca-certificates.crt,$CA_FILE,; s,/var/cache/nginx/nxpk,$HTTP_HOME/cache,
                s/listen 8081;/listen 127.0.0.1:$SERVER_PORT;/; /listen \[::\]:8081;/d" nginx/nxpk-cache.conf
            echo "}"
        } >"$HTTP_HOME/nginx.conf"
    }
    http_run_bound "$nginx" -p "$HTTP_HOME" -c "$HTTP_HOME/nginx.conf" -e "$SERVER_LOG" || return
    URL_BASE=http://127.0.0.1:$SERVER_PORT
}

# start_varnish_cache [VCL]: with another VCL, and as Varnish is unless told otherwise.
start_varnish_cache() {
    local varnishd vcl=${1:-varnish/nxpk-cache.vcl} gzip=off
    [ $# = 0 ] || gzip=on
    varnishd=$(http_find varnishd) || { echo 'varnish is not installed'; return 77; }
    ORIGIN_PORT=$SERVER_PORT
    http_new_home varnish
    http_configure() {
        sed "s/origin.example.org/127.0.0.1/; s/\"80\"/\"$ORIGIN_PORT\"/" "$vcl" >"$HTTP_HOME/nxpk-cache.vcl"
    }
    run_varnish() {
        exec "$varnishd" -j none -F -n "$HTTP_HOME/run" -P "$HTTP_HOME/pid" -f "$HTTP_HOME/nxpk-cache.vcl" \
            -a "127.0.0.1:$SERVER_PORT" -s "file,$HTTP_HOME/storage,1G" -p "http_gzip_support=$gzip"
    }
    http_run_bound run_varnish || return
    URL_BASE=http://127.0.0.1:$SERVER_PORT
    wait_for 20 "$SERVER_PID" curl -so /dev/null "$URL_BASE/" || { cat "$SERVER_LOG" >&2; return 1; }
}
