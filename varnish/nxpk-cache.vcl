# SPDX-License-Identifier: MIT
# Varnish as a site's cache of packages that lie on a web server far away.  See docs/admin.md for when nginx is the
# better one: this one fetches a package whole, from its beginning, with the first request for any part of it, and
# speaks no TLS to the far server.
#
#     sed s/origin.example.org/packages.example.com/ /usr/local/share/nxpk/varnish/nxpk-cache.vcl \
#         >/etc/varnish/nxpk-cache.vcl
#     varnishd -f /etc/varnish/nxpk-cache.vcl -a :8081 -s file,/var/lib/varnish/nxpk,50G -p http_gzip_support=off
vcl 4.1;

backend nxpk_origin {
    .host = "origin.example.org";
    .port = "80";
}

sub vcl_recv {
    # What is older than it should be is good only when the far server has just not answered (vcl_deliver).
    if (req.restarts == 0) {
        set req.grace = 0s;
    } else {
        set req.grace = 365d;
    }
    if (req.url !~ "(?i)^[^?]*\.(nxpk(\.[0-9][0-9][0-9])?|netx)$") {
        return (synth(404));
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    unset req.http.Cookie;
    unset req.http.Authorization;
    return (hash);
}

sub vcl_backend_fetch {
    set bereq.http.Host = "origin.example.org";
}

sub vcl_backend_response {
    unset beresp.http.Set-Cookie;
    unset beresp.http.Vary;
    if (beresp.status >= 500) {
        return (fail);
    }
    if (beresp.status != 200 && beresp.status != 304) {
        set beresp.ttl = 1s;
        return (deliver);
    }
    # A package may be replaced under its name: it is asked for with its ETag, every ten seconds, which costs no body
    # when it is the same.  One whose name ends in a digest, such as debian-0123456789abcdef.nxpk, never changes.
    if (bereq.url ~ "(?i)[-._][0-9a-f]{16,}\.(nxpk(\.[0-9][0-9][0-9])?|netx)$") {
        set beresp.ttl = 365d;
    } else {
        set beresp.ttl = 10s;
    }
    set beresp.grace = 365d;
    set beresp.keep = 365d;
    # Clients get what has come so far, and do not wait for all of it.
    set beresp.do_stream = true;
    return (deliver);
}

sub vcl_deliver {
    if (resp.status >= 500 && req.restarts == 0) {
        return (restart);
    }
}

sub vcl_synth {
    if (resp.status >= 500 && req.restarts == 0) {
        return (restart);
    }
}
