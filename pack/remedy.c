/* SPDX-License-Identifier: MIT */
/* tests/28-nxref-check-mends.sh puts the lines of nginx, Apache, lighttpd and Caddy where their words say into the
 * configuration of the real server, and looks whether the trouble is gone.
 */
#include "pack/remedy.h"

#include <string.h>
#include <strings.h>

#include "common/policy.h"
#include "formats/package.h"
#include "formats/reference.h"

static const struct {
    const char *id;
    enum nx_severity severity;
    const char *cost;
    const char *words; /* what to do, on whatever server */
} troubles[NX_TROUBLES] = {
    [NX_TROUBLE_TLS] = { "tls", NX_SEVERITY_ERROR,
                         "nxfetch refuses the server, unless its user says --insecure.",
                         "Give the server a certificate for this host name that is valid now, with "
                         "all of its chain (certbot calls that file fullchain.pem)." },
    [NX_TROUBLE_NO_ANSWER] = { "no-answer", NX_SEVERITY_ERROR, "No machine starts from here.",
                               "See whether the server runs, its log, and what stands between it "
                               "and here." },
    [NX_TROUBLE_STATUS] = { "status", NX_SEVERITY_ERROR, "No machine starts from here.",
                            "See the server's log: the file must be where the URL says, and "
                            "anybody "
                            "must be allowed to read it." },
    [NX_TROUBLE_REDIRECT_REFUSED] = { "redirect-refused", NX_SEVERITY_ERROR,
                                      "nxfetch follows few redirects, and only to http and https.",
                                      "Publish the URL at which the package really is." },
    [NX_TROUBLE_COMPRESSED] = { "compressed", NX_SEVERITY_ERROR,
                                "nxfetch refuses it: ranges of a compressed file are not the "
                                "package's, and the package is compressed inside anyway.",
                                "Switch compression off for *.nxpk, in the server and in what "
                                "stands before it." },
    [NX_TROUBLE_NO_RANGES] = { "no-ranges", NX_SEVERITY_ERROR,
                               "nxfetch refuses it: each read of the machine would fetch all of "
                               "the package.",
                               "Let the server, and what stands before it, answer a Range request "
                               "for *.nxpk with 206; an ordinary static file server does so by "
                               "itself." },
    [NX_TROUBLE_CONTENT_RANGE] = { "content-range", NX_SEVERITY_ERROR,
                                   "nxfetch refuses it: it cannot tell which bytes have come.",
                                   "Something rewrites ranges, often a CDN or a proxy: have it "
                                   "pass "
                                   "Range and Content-Range on unchanged." },
    [NX_TROUBLE_LENGTH] = { "length", NX_SEVERITY_ERROR,
                            "nxfetch takes such an answer for a broken line, and asks again until "
                            "it gives up.",
                            "Something cuts or lengthens bodies, often a proxy with a limit: let "
                            "it "
                            "send what Content-Range says." },
    [NX_TROUBLE_PACKAGE] = { "package", NX_SEVERITY_ERROR, "No machine starts from here.",
                             "Copy the package to the server again, as binary, and look at it with "
                             "nxpack verify first." },
    [NX_TROUBLE_WRONG_BYTES] = { "wrong-bytes", NX_SEVERITY_ERROR,
                                 "What comes is not what the author has packed: nxfetch throws it "
                                 "away, and the machine waits.",
                                 "Copy the package to the server again; where a cache or a CDN "
                                 "stands "
                                 "before it, empty that, and have it pass ranges on unchanged." },
    [NX_TROUBLE_SIZE_CHANGES] = { "size-changes", NX_SEVERITY_ERROR,
                                  "There are several files under this URL: a machine gets pieces "
                                  "of "
                                  "both, and waits for those that fit.",
                                  "Copy the package to all hosts that answer for this name, and "
                                  "empty the caches before them." },
    [NX_TROUBLE_VOLUME] = { "volume", NX_SEVERITY_ERROR,
                            "A machine that reads what is in that volume waits for it.",
                            "Copy all of the package's volumes (*.nxpk.001 and so on) into the "
                            "folder of its head again." },
    [NX_TROUBLE_UNRELIABLE] = { "unreliable", NX_SEVERITY_WARNING,
                                "nxfetch asks again, and the machine waits meanwhile.",
                                "See the server's log, and what limits it sets to a client's "
                                "requests." },
    [NX_TROUBLE_NO_ETAG] = { "no-etag", NX_SEVERITY_WARNING,
                             "That the package was replaced while a machine runs from it is seen "
                             "only by pieces that do not fit; and caches fetch it again and again.",
                             "Let the server send a strong ETag for *.nxpk." },
    [NX_TROUBLE_WEAK_ETAG] = { "weak-etag", NX_SEVERITY_WARNING,
                               "A weak ETag says nothing of ranges: that the package was replaced "
                               "while a machine runs from it is seen only by pieces that do not "
                               "fit.",
                               "Let the server send a strong ETag for *.nxpk: weak ones mostly "
                               "come "
                               "from compression, or from a proxy that may change the file." },
    [NX_TROUBLE_ETAG_CHANGES] = { "etag-changes", NX_SEVERITY_WARNING,
                                  "nxfetch takes that for another package, asks once more, and "
                                  "then "
                                  "does without ETags; and caches keep several copies.",
                                  "Let all hosts make the ETag in the same way, without the "
                                  "inode's "
                                  "number, and copy the package to them with its time (rsync -t, "
                                  "cp "
                                  "-p)." },
    [NX_TROUBLE_IF_RANGE_REFUSED] = { "if-range-refused", NX_SEVERITY_WARNING,
                                      "nxfetch asks once more, and then does without: that the "
                                      "package was replaced is seen only by pieces that do not "
                                      "fit.",
                                      "Let the server, and what stands before it, compare If-Range "
                                      "with the ETag that they send." },
    [NX_TROUBLE_IF_RANGE_IGNORED] = { "if-range-ignored", NX_SEVERITY_WARNING,
                                      "Whoever trusts If-Range gets pieces of a package that was "
                                      "replaced; nxfetch compares ETags itself.",
                                      "Let the server, and what stands before it, answer with 200 "
                                      "when If-Range names another ETag." },
    [NX_TROUBLE_COMPRESSES] = { "compresses", NX_SEVERITY_WARNING,
                                "A cache on the way that accepts this gets a file without ranges, "
                                "and hands that to nxfetch; it saves no byte, for the package is "
                                "compressed inside.",
                                "Switch compression off for *.nxpk, in the server and in what "
                                "stands before it." },
    [NX_TROUBLE_WHOLE] = { "whole-file", NX_SEVERITY_WARNING,
                           "Who downloads all of the package, as a browser or a mirror does, does "
                           "not get it.",
                           "Let the server answer a request without Range with 200 and all of the "
                           "file." },
    [NX_TROUBLE_TYPE] = { "type", NX_SEVERITY_WARNING,
                          "A browser does not know that the link is for nxfetch: it shows or saves "
                          "the file.",
                          "Let the server send Content-Type: " NX_PACKAGE_TYPE " for *.nxpk." },
    [NX_TROUBLE_NO_CACHE_CONTROL] = { "no-cache-control", NX_SEVERITY_WARNING,
                                      "Caches guess how long the package is good: once it is "
                                      "replaced, they mix the old one with the new one.",
                                      "Let the server send Cache-Control: " NX_CACHE_REVALIDATE
                                      " for *.nxpk." },
    [NX_TROUBLE_CACHED_TOO_LONG] = { "cached-too-long", NX_SEVERITY_WARNING,
                                     "Once the package is replaced, caches go on with the old one "
                                     "for so long, or mix the two.",
                                     "Let the server send Cache-Control: " NX_CACHE_REVALIDATE
                                     " for *.nxpk, or end the package's name with a digest, as in "
                                     "guest-0123456789abcdef.nxpk." },
    [NX_TROUBLE_REDIRECTS] = { "redirects", NX_SEVERITY_WARNING,
                               "Each range that nxfetch asks for takes that way again.",
                               "Publish the URL where the redirects end." },
    [NX_TROUBLE_DOWNGRADE] = { "downgrade", NX_SEVERITY_WARNING,
                               "Who is on the way sees what is fetched, and can stop it; the "
                               "package's bytes are verified anyway.",
                               "Let the redirect lead to https." },
    [NX_TROUBLE_NO_KEEP_ALIVE] = { "no-keep-alive", NX_SEVERITY_WARNING,
                                   "Each range pays for a new connection: one more round trip, and "
                                   "three with TLS.",
                                   "Let the server keep connections open for the next request." },
    [NX_TROUBLE_SLOW] = { "slow", NX_SEVERITY_WARNING,
                          "A machine waits so long for each piece that was not fetched ahead.",
                          "Serve the file from the disk, without a program in between; where a "
                          "cache stands before a far origin, let it fetch slices (nginx: slice), "
                          "and read the package once, to fill it." },
    [NX_TROUBLE_CERTIFICATE_ENDS] = { "certificate-ends", NX_SEVERITY_WARNING,
                                      "nxfetch refuses the server from then on.",
                                      "Renew the certificate, and see whether something does that "
                                      "by "
                                      "itself (certbot renew)." },
    [NX_TROUBLE_IF_NONE_MATCH] = { "if-none-match", NX_SEVERITY_NOTE,
                                   "A cache that asks whether its copy is still good gets all of "
                                   "the package again, each time; nxfetch does not ask so.",
                                   "Let the server, and what stands before it, answer with 304 "
                                   "when If-None-Match names the ETag that they send (nginx with "
                                   "slice does not)." },
    [NX_TROUBLE_NO_CORS] = { "no-cors", NX_SEVERITY_NOTE,
                             "Pages of other sites cannot read the package's name and size; "
                             "nxfetch "
                             "does not need it.",
                             "Let the server send Access-Control-Allow-Origin: * and "
                             "Access-Control-Expose-Headers: " NX_CORS_EXPOSE " for *.nxpk." },
    [NX_TROUBLE_NOT_CACHED] = { "not-cached", NX_SEVERITY_NOTE,
                                "No cache or CDN on the way may keep it: each user's bytes come "
                                "from the server.",
                                "Unless that is meant so, let the server send "
                                "Cache-Control: " NX_CACHE_REVALIDATE " for *.nxpk." },
    [NX_TROUBLE_ADDRESS] = { "address", NX_SEVERITY_NOTE,
                             "Users who get this address wait until they get another one.",
                             "See whether that host runs, or whether it cannot be reached from "
                             "here "
                             "alone." },
    [NX_TROUBLE_NO_TLS] = { "no-tls", NX_SEVERITY_NOTE,
                            "Who is on the way sees what is fetched, and can stop it, though not "
                            "change it; and there is no HTTP/2.",
                            "Serve it by https." },
    [NX_TROUBLE_NO_HTTP2] = { "no-http2", NX_SEVERITY_NOTE,
                              "nxfetch makes a few connections, where one would do.",
                              "Switch HTTP/2 on, here or in a server before it." },
};

const char *nx_severity_name(enum nx_severity severity)
{
    static const char *const names[] = { "error", "warning", "note" };
    return names[severity];
}

const char *nx_trouble_id(enum nx_trouble trouble)
{
    return troubles[trouble].id;
}

enum nx_severity nx_trouble_severity(enum nx_trouble trouble)
{
    return troubles[trouble].severity;
}

const char *nx_trouble_cost(enum nx_trouble trouble)
{
    return troubles[trouble].cost;
}

int nx_trouble_is_of_config(enum nx_trouble trouble)
{
    switch (trouble) {
    case NX_TROUBLE_COMPRESSED:
    case NX_TROUBLE_NO_RANGES:
    case NX_TROUBLE_NO_ETAG:
    case NX_TROUBLE_COMPRESSES:
    case NX_TROUBLE_TYPE:
    case NX_TROUBLE_NO_CACHE_CONTROL:
    case NX_TROUBLE_CACHED_TOO_LONG:
    case NX_TROUBLE_NO_CORS:
    case NX_TROUBLE_NOT_CACHED:
        return 1;
    default:
        return 0;
    }
}

/* ---- servers ----------------------------------------------------------------- */

static const struct {
    const char *id, *name;
    const char *in_server; /* how its Server header opens */
    const char *in_via; /* what its Via header has in it: a cache that hands the Server header on */
    int has_config;
} webservers[] = {
    [NX_WEBSERVER_OTHER] = { "other", "the server", NULL, NULL, 0 },
    [NX_WEBSERVER_NGINX] = { "nginx", "nginx", "nginx", NULL, 1 },
    [NX_WEBSERVER_APACHE] = { "apache", "Apache", "Apache", NULL, 1 },
    [NX_WEBSERVER_LIGHTTPD] = { "lighttpd", "lighttpd", "lighttpd", NULL, 1 },
    [NX_WEBSERVER_CADDY] = { "caddy", "Caddy", "Caddy", NULL, 1 },
    [NX_WEBSERVER_NXSERVE] = { "nxserve", "nxserve", "nxserve", NULL, 0 },
    [NX_WEBSERVER_S3] = { "s3", "Amazon S3", "AmazonS3", NULL, 0 },
    [NX_WEBSERVER_CLOUDFRONT] = { "cloudfront", "CloudFront", "CloudFront", "(CloudFront)", 0 },
    [NX_WEBSERVER_CLOUDFLARE] = { "cloudflare", "Cloudflare", "cloudflare", NULL, 0 },
    [NX_WEBSERVER_VARNISH] = { "varnish", "Varnish", "Varnish", "varnish", 0 },
};
#define N_WEBSERVERS (sizeof webservers / sizeof webservers[0])

/* What stands nearest to us changes answers last, so it is asked first. */
enum nx_webserver nx_webserver_detect(const char *server, const char *via)
{
    for (size_t i = 1; i < N_WEBSERVERS; i++)
        if (webservers[i].in_via && strcasestr(via, webservers[i].in_via))
            return (enum nx_webserver)i;
    for (size_t i = 1; i < N_WEBSERVERS; i++)
        if (strncasecmp(server, webservers[i].in_server, strlen(webservers[i].in_server)) == 0)
            return (enum nx_webserver)i;
    return strncasecmp(server, "openresty", 9) == 0 ? NX_WEBSERVER_NGINX : NX_WEBSERVER_OTHER;
}

const char *nx_webserver_id(enum nx_webserver webserver)
{
    return webservers[webserver].id;
}

const char *nx_webserver_name(enum nx_webserver webserver)
{
    return webservers[webserver].name;
}

int nx_webserver_has_config(enum nx_webserver webserver)
{
    return webservers[webserver].has_config;
}

/* ---- what mends it --------------------------------------------------------------- */

/* How the names of packages, of their volumes and of references end, as a regular expression. */
#define NAMES    "nxpk(\\.[0-9][0-9][0-9])?|netx"
#define PACKAGES "\\.(" NAMES ")$"
#define IN_NGINX                                                                               \
    "In the location that serves packages, as in location ~* \"" PACKAGES "\" { … } of the " \
    "server block:"
#define IN_APACHE "In the virtual host, in <FilesMatch \"\\.(?i:" NAMES ")$\"> … </FilesMatch>:"
#define IN_APACHE_HEADERS                                                                         \
    "In the virtual host, in <FilesMatch \"\\.(?i:" NAMES ")$\"> … </FilesMatch> (and a2enmod " \
    "headers):"
#define IN_APACHE_SERVER "In the virtual host:"
#define IN_LIGHTTPD      "At the end of lighttpd.conf:"
#define IN_LIGHTTPD_ONCE "At the end of lighttpd.conf, once for all that is said of headers:"
#define IN_CADDY         "In the site's block of the Caddyfile:"
#define IN_CADDY_GLOBAL  "In the global options, the first block of the Caddyfile:"

/* A second block that sets one more header would take the first one's away, so each trouble with headers has all. */
#define LIGHTTPD_HEADERS                                                    \
    "server.modules += ( \"mod_setenv\" )\n"                                \
    "$HTTP[\"url\"] =~ \"(?i)" PACKAGES "\" {\n"                            \
    "    setenv.set-response-header = (\n"                                  \
    "        \"Cache-Control\" => \"" NX_CACHE_REVALIDATE "\",\n"           \
    "        \"Access-Control-Allow-Origin\" => \"*\",\n"                   \
    "        \"Access-Control-Expose-Headers\" => \"" NX_CORS_EXPOSE "\"\n" \
    "    )\n"                                                               \
    "}\n"

/* Where a program, another server or a redirect stands between, the server itself has the better answer: the same lines
 * mend all that those do wrong.  The folder is the one of docs/admin.md.
 */
#define FOLDER                                                                                     \
    "from the folder that has it under the URL's path, here /srv/nxpk; anybody may read it then, " \
    "unless you repeat what guards it. "
#define ITSELF(server)                                                             \
    "That comes from a program or a server behind " server ", mostly. Let " server \
    " serve the file itself, " FOLDER
#define HERE(server)                                                                     \
    "Publish the URL where the redirects end. Or let " server " serve the file at this " \
    "one, " FOLDER
#define NOWHERE(server) \
    "The redirects lead nowhere. Let " server " serve the file at this URL, " FOLDER
#define FAR_NGINX                                                                             \
    "For one that lies far away share/nxpk/nginx/nxpk-cache.conf makes a cache with slices, " \
    "whose Range is $slice_range, in proxy_cache_key as well; without a cache it is "         \
    "$http_range. Empty a cache that was wrong, and read the package once, to fill it. "
#define RETURN_NGINX \
    "A return or rewrite of the server block itself belongs into its location / { … }. "
#define IN_NGINX_SERVER "In the server block, before other locations that are regular expressions:"
#define IN_APACHE_REWRITE \
    "In the virtual host, before its other RewriteRules (and a2enmod rewrite):"
#define IN_CADDY_HANDLE                                                                 \
    "In the site's block of the Caddyfile, or in that of its handle blocks into which " \
    "packages fall:"
#define NGINX_ITSELF "location ~* \"" PACKAGES "\" {\n    root /srv/nxpk;\n}\n"
#define APACHE_ITSELF                                                    \
    "RewriteEngine On\n"                                                 \
    "RewriteRule \"(?i)^/(.*\\.(" NAMES "))$\" \"/srv/nxpk/$1\" [END]\n" \
    "<Directory \"/srv/nxpk\">\n    Require all granted\n</Directory>\n"
#define LIGHTTPD_ITSELF                                    \
    "$HTTP[\"url\"] =~ \"(?i)" PACKAGES "\" {\n"           \
    "    url.redirect = ( )\n    url.rewrite-once = ( )\n" \
    "    proxy.server = ( )\n    fastcgi.server = ( )\n"   \
    "    scgi.server = ( )\n    cgi.assign = ( )\n"        \
    "    server.document-root = \"/srv/nxpk\"\n}\n"
#define CADDY_ITSELF                            \
    "@nxpk_here path_regexp (?i)" PACKAGES "\n" \
    "handle @nxpk_here {\n    root * /srv/nxpk\n    file_server\n}\n"

/* Rows of the table: what stands behind a server, and redirects that it makes. */
#define ROW(webserver, trouble, words, lines) \
    {                                         \
        webserver, trouble,                   \
        {                                     \
            words, lines                      \
        }                                     \
    }
#define BY_ITSELF(webserver, name, where, lines)                             \
    ROW(webserver, NX_TROUBLE_WEAK_ETAG, ITSELF(name) where, lines),         \
        ROW(webserver, NX_TROUBLE_CONTENT_RANGE, ITSELF(name) where, lines), \
        ROW(webserver, NX_TROUBLE_SLOW, ITSELF(name) where, lines)
#define REDIRECTED(webserver, name, where, lines)                  \
    ROW(webserver, NX_TROUBLE_REDIRECTS, HERE(name) where, lines), \
        ROW(webserver, NX_TROUBLE_REDIRECT_REFUSED, NOWHERE(name) where, lines)

static const struct {
    enum nx_webserver webserver;
    enum nx_trouble trouble;
    struct nx_remedy remedy;
} remedies[] = {
    /* nginx */
    { NX_WEBSERVER_NGINX, NX_TROUBLE_NO_RANGES, { IN_NGINX, "max_ranges 32;\ngzip off;\n" } },
    { NX_WEBSERVER_NGINX, NX_TROUBLE_COMPRESSED, { IN_NGINX, "gzip off;\ngzip_static off;\n" } },
    { NX_WEBSERVER_NGINX, NX_TROUBLE_COMPRESSES, { IN_NGINX, "gzip off;\n" } },
    { NX_WEBSERVER_NGINX, NX_TROUBLE_NO_ETAG, { IN_NGINX, "etag on;\n" } },
    { NX_WEBSERVER_NGINX,
      NX_TROUBLE_TYPE,
      { IN_NGINX, "types {\n"
                  "    " NX_PACKAGE_TYPE " nxpk;\n"
                  "    " NX_REFERENCE_TYPE " netx;\n"
                  "}\n" } },
    { NX_WEBSERVER_NGINX,
      NX_TROUBLE_NO_CORS,
      { IN_NGINX, "add_header Access-Control-Allow-Origin \"*\";\n"
                  "add_header Access-Control-Expose-Headers \"" NX_CORS_EXPOSE "\";\n" } },
    { NX_WEBSERVER_NGINX,
      NX_TROUBLE_NO_CACHE_CONTROL,
      { IN_NGINX, "add_header Cache-Control \"" NX_CACHE_REVALIDATE "\";\n" } },
    { NX_WEBSERVER_NGINX,
      NX_TROUBLE_CACHED_TOO_LONG,
      { IN_NGINX, "expires off;\n"
                  "add_header Cache-Control \"" NX_CACHE_REVALIDATE "\";\n" } },
    { NX_WEBSERVER_NGINX,
      NX_TROUBLE_NOT_CACHED,
      { IN_NGINX, "expires off;\n"
                  "add_header Cache-Control \"" NX_CACHE_REVALIDATE "\";\n" } },
    { NX_WEBSERVER_NGINX,
      NX_TROUBLE_NO_KEEP_ALIVE,
      { IN_NGINX, "keepalive_timeout 65s;\nkeepalive_requests 1000;\n" } },
    { NX_WEBSERVER_NGINX,
      NX_TROUBLE_NO_HTTP2,
      { "In the server block, with the address that it listens on:", "listen 443 ssl http2;\n" } },
    BY_ITSELF(NX_WEBSERVER_NGINX, "nginx", FAR_NGINX IN_NGINX_SERVER, NGINX_ITSELF),
    REDIRECTED(NX_WEBSERVER_NGINX, "nginx", RETURN_NGINX IN_NGINX_SERVER, NGINX_ITSELF),

    /* Apache */
    { NX_WEBSERVER_APACHE,
      NX_TROUBLE_NO_RANGES,
      { IN_APACHE, "MaxRanges default\nSetEnv no-gzip 1\n" } },
    { NX_WEBSERVER_APACHE,
      NX_TROUBLE_COMPRESSED,
      { IN_APACHE, "SetEnv no-gzip 1\nSetEnv no-brotli 1\n" } },
    { NX_WEBSERVER_APACHE,
      NX_TROUBLE_COMPRESSES,
      { IN_APACHE, "SetEnv no-gzip 1\nSetEnv no-brotli 1\n" } },
    { NX_WEBSERVER_APACHE, NX_TROUBLE_NO_ETAG, { IN_APACHE, "FileETag MTime Size\n" } },
    { NX_WEBSERVER_APACHE,
      NX_TROUBLE_ETAG_CHANGES,
      { "On each host, in <FilesMatch \"\\.(?i:" NAMES ")$\"> … </FilesMatch>; and copy the "
        "package "
        "with its time (rsync -t, cp -p):",
        "FileETag MTime Size\n" } },
    { NX_WEBSERVER_APACHE,
      NX_TROUBLE_TYPE,
      { IN_APACHE_SERVER, "AddType " NX_PACKAGE_TYPE " .nxpk\n"
                          "AddType " NX_REFERENCE_TYPE " .netx\n" } },
    { NX_WEBSERVER_APACHE,
      NX_TROUBLE_NO_CORS,
      { IN_APACHE_HEADERS,
        "Header always set Access-Control-Allow-Origin \"*\"\n"
        "Header always set Access-Control-Expose-Headers \"" NX_CORS_EXPOSE "\"\n" } },
    { NX_WEBSERVER_APACHE,
      NX_TROUBLE_NO_CACHE_CONTROL,
      { IN_APACHE_HEADERS, "Header set Cache-Control \"" NX_CACHE_REVALIDATE "\"\n" } },
    { NX_WEBSERVER_APACHE,
      NX_TROUBLE_CACHED_TOO_LONG,
      { IN_APACHE_HEADERS, "Header set Cache-Control \"" NX_CACHE_REVALIDATE "\"\n"
                           "Header unset Expires\n" } },
    { NX_WEBSERVER_APACHE,
      NX_TROUBLE_NOT_CACHED,
      { IN_APACHE_HEADERS, "Header set Cache-Control \"" NX_CACHE_REVALIDATE "\"\n"
                           "Header unset Expires\n" } },
    { NX_WEBSERVER_APACHE,
      NX_TROUBLE_NO_KEEP_ALIVE,
      { IN_APACHE_SERVER, "KeepAlive On\nMaxKeepAliveRequests 1000\n" } },
    { NX_WEBSERVER_APACHE,
      NX_TROUBLE_NO_HTTP2,
      { "In the virtual host (and a2enmod http2):", "Protocols h2 http/1.1\n" } },
    BY_ITSELF(NX_WEBSERVER_APACHE, "Apache", IN_APACHE_REWRITE, APACHE_ITSELF),
    REDIRECTED(NX_WEBSERVER_APACHE, "Apache", IN_APACHE_REWRITE, APACHE_ITSELF),

    /* lighttpd */
    { NX_WEBSERVER_LIGHTTPD,
      NX_TROUBLE_NO_RANGES,
      { IN_LIGHTTPD, "$HTTP[\"url\"] =~ \"(?i)" PACKAGES "\" {\n"
                     "    server.range-requests = \"enable\"\n}\n" } },
    { NX_WEBSERVER_LIGHTTPD,
      NX_TROUBLE_COMPRESSED,
      { IN_LIGHTTPD, "$HTTP[\"url\"] =~ \"(?i)" PACKAGES "\" {\n"
                     "    deflate.mimetypes = ( )\n}\n" } },
    { NX_WEBSERVER_LIGHTTPD,
      NX_TROUBLE_COMPRESSES,
      { IN_LIGHTTPD, "$HTTP[\"url\"] =~ \"(?i)" PACKAGES "\" {\n"
                     "    deflate.mimetypes = ( )\n}\n" } },
    { NX_WEBSERVER_LIGHTTPD,
      NX_TROUBLE_NO_ETAG,
      { "At the end of lighttpd.conf; and it sends no ETag for a file whose type it does not know:",
        "$HTTP[\"url\"] =~ \"(?i)" PACKAGES "\" {\n"
        "    static-file.etags = \"enable\"\n}\n" } },
    { NX_WEBSERVER_LIGHTTPD,
      NX_TROUBLE_ETAG_CHANGES,
      { "On each host, at the end of lighttpd.conf; and copy the package with its time (rsync -t, "
        "cp -p):",
        "$HTTP[\"url\"] =~ \"(?i)" PACKAGES "\" {\n"
        "    etag.use-inode = \"disable\"\n}\n" } },
    { NX_WEBSERVER_LIGHTTPD,
      NX_TROUBLE_TYPE,
      { IN_LIGHTTPD, "mimetype.assign += (\n"
                     "    \".nxpk\" => \"" NX_PACKAGE_TYPE "\",\n"
                     "    \".netx\" => \"" NX_REFERENCE_TYPE "\"\n"
                     ")\n" } },
    { NX_WEBSERVER_LIGHTTPD, NX_TROUBLE_NO_CORS, { IN_LIGHTTPD_ONCE, LIGHTTPD_HEADERS } },
    { NX_WEBSERVER_LIGHTTPD, NX_TROUBLE_NO_CACHE_CONTROL, { IN_LIGHTTPD_ONCE, LIGHTTPD_HEADERS } },
    { NX_WEBSERVER_LIGHTTPD, NX_TROUBLE_CACHED_TOO_LONG, { IN_LIGHTTPD_ONCE, LIGHTTPD_HEADERS } },
    { NX_WEBSERVER_LIGHTTPD, NX_TROUBLE_NOT_CACHED, { IN_LIGHTTPD_ONCE, LIGHTTPD_HEADERS } },
    { NX_WEBSERVER_LIGHTTPD,
      NX_TROUBLE_NO_KEEP_ALIVE,
      { IN_LIGHTTPD, "$HTTP[\"url\"] =~ \"(?i)" PACKAGES "\" {\n"
                     "    server.max-keep-alive-requests = 1000\n}\n" } },
    { NX_WEBSERVER_LIGHTTPD,
      NX_TROUBLE_NO_HTTP2,
      { "In lighttpd.conf, in the place of the server.feature-flags that it has:",
        "server.feature-flags = ( \"server.h2proto\" => \"enable\" )\n" } },
    BY_ITSELF(NX_WEBSERVER_LIGHTTPD, "lighttpd", IN_LIGHTTPD, LIGHTTPD_ITSELF),
    REDIRECTED(NX_WEBSERVER_LIGHTTPD, "lighttpd", IN_LIGHTTPD, LIGHTTPD_ITSELF),

    /* Caddy */
    { NX_WEBSERVER_CADDY,
      NX_TROUBLE_COMPRESSED,
      { IN_CADDY, "@nxpk_plain path_regexp (?i)" PACKAGES "\n"
                  "request_header @nxpk_plain -Accept-Encoding\n" } },
    { NX_WEBSERVER_CADDY,
      NX_TROUBLE_COMPRESSES,
      { IN_CADDY, "@nxpk_plain path_regexp (?i)" PACKAGES "\n"
                  "request_header @nxpk_plain -Accept-Encoding\n" } },
    { NX_WEBSERVER_CADDY,
      NX_TROUBLE_TYPE,
      { IN_CADDY, "@nxpk_type path_regexp (?i)\\.nxpk$\n"
                  "header @nxpk_type Content-Type " NX_PACKAGE_TYPE "\n"
                  "@netx_type path_regexp (?i)\\.netx$\n"
                  "header @netx_type Content-Type " NX_REFERENCE_TYPE "\n" } },
    { NX_WEBSERVER_CADDY,
      NX_TROUBLE_NO_CORS,
      { IN_CADDY, "@nxpk_cors path_regexp (?i)" PACKAGES "\n"
                  "header @nxpk_cors Access-Control-Allow-Origin \"*\"\n"
                  "header @nxpk_cors Access-Control-Expose-Headers \"" NX_CORS_EXPOSE "\"\n" } },
    { NX_WEBSERVER_CADDY,
      NX_TROUBLE_NO_CACHE_CONTROL,
      { IN_CADDY, "@nxpk_cache path_regexp (?i)" PACKAGES "\n"
                  "header @nxpk_cache Cache-Control \"" NX_CACHE_REVALIDATE "\"\n" } },
    { NX_WEBSERVER_CADDY,
      NX_TROUBLE_CACHED_TOO_LONG,
      { IN_CADDY, "@nxpk_cache path_regexp (?i)" PACKAGES "\n"
                  "header @nxpk_cache {\n"
                  "    defer\n"
                  "    Cache-Control \"" NX_CACHE_REVALIDATE "\"\n}\n" } },
    { NX_WEBSERVER_CADDY,
      NX_TROUBLE_NOT_CACHED,
      { IN_CADDY, "@nxpk_cache path_regexp (?i)" PACKAGES "\n"
                  "header @nxpk_cache {\n"
                  "    defer\n"
                  "    Cache-Control \"" NX_CACHE_REVALIDATE "\"\n}\n" } },
    { NX_WEBSERVER_CADDY,
      NX_TROUBLE_NO_HTTP2,
      { IN_CADDY_GLOBAL, "servers {\n    protocols h1 h2\n}\n" } },
    BY_ITSELF(NX_WEBSERVER_CADDY, "Caddy", IN_CADDY_HANDLE, CADDY_ITSELF),
    { NX_WEBSERVER_CADDY,
      NX_TROUBLE_REDIRECTS,
      { HERE("Caddy") "In the site's block of the Caddyfile, in the place of the redir, with its "
                      "own target:",
        "@not_nxpk not path_regexp (?i)" PACKAGES "\n"
        "redir @not_nxpk https://www.example.org{uri}\n" CADDY_ITSELF } },

    /* nxserve does all this by itself, but for these. */
    { NX_WEBSERVER_NXSERVE,
      NX_TROUBLE_ETAG_CHANGES,
      { "nxserve's ETags differ from host to host: give each host a name of its own, and name them "
        "all as mirrors in the reference (nxref URL MIRROR… FILE.netx).",
        NULL } },
    { NX_WEBSERVER_NXSERVE,
      NX_TROUBLE_NO_TLS,
      { "Start it with a certificate:",
        "nxserve --tls-cert=fullchain.pem --tls-key=privkey.pem --listen=:: --port=443 DIR\n" } },
    { NX_WEBSERVER_NXSERVE,
      NX_TROUBLE_NO_HTTP2,
      { "nxserve has none: put nginx, Caddy or another server before it.", NULL } },

    /* Object stores and CDNs.  Their files have the headers that they were uploaded with. */
    { NX_WEBSERVER_S3,
      NX_TROUBLE_TYPE,
      { "Upload the package with its type:",
        "aws s3 cp FILE.nxpk s3://BUCKET/FILE.nxpk --content-type " NX_PACKAGE_TYPE
        " --cache-control \"" NX_CACHE_REVALIDATE "\"\n" } },
    { NX_WEBSERVER_S3,
      NX_TROUBLE_NO_CACHE_CONTROL,
      { "Upload the package with its headers:",
        "aws s3 cp FILE.nxpk s3://BUCKET/FILE.nxpk --content-type " NX_PACKAGE_TYPE
        " --cache-control \"" NX_CACHE_REVALIDATE "\"\n" } },
    { NX_WEBSERVER_S3,
      NX_TROUBLE_CACHED_TOO_LONG,
      { "Upload the package with its headers:",
        "aws s3 cp FILE.nxpk s3://BUCKET/FILE.nxpk --content-type " NX_PACKAGE_TYPE
        " --cache-control \"" NX_CACHE_REVALIDATE "\"\n" } },
    { NX_WEBSERVER_S3,
      NX_TROUBLE_COMPRESSED,
      { "The file was uploaded with a Content-Encoding; upload it without:",
        "aws s3 cp FILE.nxpk s3://BUCKET/FILE.nxpk --content-type " NX_PACKAGE_TYPE
        " --cache-control \"" NX_CACHE_REVALIDATE "\"\n" } },
    { NX_WEBSERVER_S3,
      NX_TROUBLE_NO_CORS,
      { "Give the bucket this CORS configuration (aws s3api put-bucket-cors):",
        "{\"CORSRules\":[{\"AllowedOrigins\":[\"*\"],\"AllowedMethods\":[\"GET\",\"HEAD\"],"
        "\"AllowedHeaders\":[\"*\"],\"ExposeHeaders\":[\"Accept-Ranges\",\"Content-Length\","
        "\"Content-Range\",\"ETag\",\"Last-Modified\"]}]}\n" } },
    { NX_WEBSERVER_CLOUDFRONT,
      NX_TROUBLE_COMPRESSES,
      { "In the behavior for *.nxpk, set \"Compress objects automatically\" to No.", NULL } },
    { NX_WEBSERVER_CLOUDFRONT,
      NX_TROUBLE_NO_CORS,
      { "In the behavior for *.nxpk, choose the response headers policy \"SimpleCORS\", or one of "
        "your own that also exposes Content-Range and ETag.",
        NULL } },
    { NX_WEBSERVER_CLOUDFLARE,
      NX_TROUBLE_COMPRESSED,
      { "Make a Compression Rule for URI paths that end in .nxpk: \"Disable compression\".",
        NULL } },
    { NX_WEBSERVER_CLOUDFLARE,
      NX_TROUBLE_COMPRESSES,
      { "Make a Compression Rule for URI paths that end in .nxpk: \"Disable compression\".",
        NULL } },
    { NX_WEBSERVER_CLOUDFLARE,
      NX_TROUBLE_WEAK_ETAG,
      { "Make a Cache Rule for URI paths that end in .nxpk: \"Respect strong ETags\"; and let the "
        "origin send a strong one.",
        NULL } },
    { NX_WEBSERVER_CLOUDFLARE,
      NX_TROUBLE_CACHED_TOO_LONG,
      { "Make a Cache Rule for URI paths that end in .nxpk: browser TTL \"Respect origin\"; and "
        "let "
        "the origin send Cache-Control: " NX_CACHE_REVALIDATE ".",
        NULL } },
    { NX_WEBSERVER_VARNISH,
      NX_TROUBLE_COMPRESSES,
      { "In vcl_backend_response of the VCL:",
        "if (bereq.url ~ \"(?i)" PACKAGES "\") {\n    set beresp.do_gzip = false;\n}\n" } },
    { NX_WEBSERVER_VARNISH,
      NX_TROUBLE_WEAK_ETAG,
      { "Varnish unpacks what the server behind it has compressed, mostly; what it keeps has to go "
        "(varnishadm ban 'req.url ~ nxpk'). In vcl_backend_fetch of the VCL:",
        "if (bereq.url ~ \"(?i)" PACKAGES "\") {\n    unset bereq.http.Accept-Encoding;\n}\n" } },
};

struct nx_remedy nx_remedy_for(enum nx_webserver webserver, enum nx_trouble trouble)
{
    for (size_t i = 0; i < sizeof remedies / sizeof remedies[0]; i++)
        if (remedies[i].webserver == webserver && remedies[i].trouble == trouble)
            return remedies[i].remedy;
    return (struct nx_remedy){ troubles[trouble].words, NULL };
}
