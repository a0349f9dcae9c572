# SPDX-License-Identifier: MIT
# A real browser, Chromium without a window, by the WebDriver protocol (https://www.w3.org/TR/webdriver2/), which
# chromedriver speaks as JSON over HTTP: curl and jq are all that it takes.  Sourced after tests/lib/http.sh:
#
#     start_browser [PREFERENCES]    # as JSON; returns 77 when it is not installed
#     browse URL
#     value=$(script 'return document.title')
#     click 'a.run'                  # by a CSS selector, as a user's mouse does
#     press a; press_tab; screen FILE.png; device 390 844 dark
#
# Downloads go to $BROWSER_DOWNLOADS.  stop_servers ends it.

# webdriver METHOD PATH [JSON]: its value, as JSON; fails with its message on stderr.
webdriver() {
    local answer
    answer=$(curl -sS -m 60 -X "$1" -H 'Content-Type: application/json' ${3:+--data-binary @-} "$BROWSER_DRIVER$2" <<<"${3:-}") || return
    if [ "$(jq '.value | objects | has("error")' <<<"$answer")" = true ]; then
        jq -r '"webdriver: " + .value.error + ": " + .value.message' <<<"$answer" | head -n 3 >&2
        return 1
    fi
    jq -c .value <<<"$answer"
}
session() { webdriver "$1" "/session/$BROWSER_SESSION$2" "${3:-}"; }
devtools() { session POST /goog/cdp/execute "$(jq -nc --arg cmd "$1" --argjson params "$2" '{cmd: $cmd, params: $params}')"; }

# No service of Google's is asked for anything, and nothing is read from the user's own profile.
browser_wish() {
    jq -nc --arg home "$HTTP_HOME" --arg downloads "$BROWSER_DOWNLOADS" --arg chromium "$1" --argjson more "${2:-{\}}" '{
        capabilities: { alwaysMatch: { browserName: "chrome", "goog:chromeOptions": {
            binary: $chromium,
            args: [ "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", "--hide-scrollbars", "--user-data-dir=\($home)/profile" ],
            prefs: ({ "download.default_directory": $downloads, "download.prompt_for_download": false } + $more)
        }, "goog:loggingPrefs": { browser: "ALL" } } } }'
}

browser_answers() { [ "$(curl -s -m 5 "$BROWSER_DRIVER/status" | jq .value.ready)" = true ]; }

start_browser() {
    local driver chromium try
    driver=$(command -v chromedriver) && chromium=$(command -v chromium) || { echo 'chromium and chromium-driver are not installed'; return 77; }
    http_new_home browser
    BROWSER_DOWNLOADS=$HTTP_HOME/downloads
    mkdir "$BROWSER_DOWNLOADS"
    for try in 1 2 3 4 5 6 7 8; do
        rm -rf "$HTTP_HOME/profile" && mkdir "$HTTP_HOME/profile"
        http_guess_port
        BROWSER_DRIVER=http://127.0.0.1:$SERVER_PORT
        HOME=$HTTP_HOME TMPDIR=$HTTP_HOME XDG_RUNTIME_DIR=$HTTP_HOME XDG_CONFIG_HOME=$HTTP_HOME XDG_CACHE_HOME=$HTTP_HOME \
            "$driver" --port="$SERVER_PORT" >"$SERVER_LOG" 2>&1 </dev/null &
        http_started $!
        if wait_for 30 "$SERVER_PID" browser_answers; then
            BROWSER_SESSION=$(webdriver POST /session "$(browser_wish "$chromium" "${1:-}")" | jq -r .sessionId)
            [ -n "$BROWSER_SESSION" ] && [ "$BROWSER_SESSION" != null ] && return 0
        fi
        stop_server "$SERVER_PID"
    done
    cat "$SERVER_LOG" >&2
    return 1
}

# Chromium ends with its session; its driver is one of the servers.
stop_browser() { [ -z "${BROWSER_SESSION:-}" ] || session DELETE '' >/dev/null; }

browse() { session POST /url "$(jq -nc --arg url "$1" '{url: $url}')" >/dev/null; }

# script JAVASCRIPT: what it returns, as JSON, or plain if it is a string.  The page's own policy does not bind it.
script() { session POST /execute/sync "$(jq -nc --arg script "$1" '{script: $script, args: []}')" | jq -r 'if type == "string" then . else tojson end'; }

click() {
    local element
    element=$(session POST /element "$(jq -nc --arg css "$1" '{using: "css selector", value: $css}')" | jq -r '.[]') || return
    session POST "/element/$element/click" '{}' >/dev/null
}

# press KEY: a letter, or one of WebDriver's names for keys without one, as \uE004 for Tab
press() {
    session POST /actions '{"actions":[{"type":"key","id":"keys","actions":[{"type":"keyDown","value":"'"$1"'"},{"type":"keyUp","value":"'"$1"'"}]}]}' >/dev/null
}
press_tab() { press '\uE004'; }

# device WIDTH HEIGHT light|dark: a screen of that size, whose user likes such colours, and nothing that moves
device() {
    devtools Emulation.setDeviceMetricsOverride "{\"width\":$1,\"height\":$2,\"deviceScaleFactor\":1,\"mobile\":$([ "$1" -lt 600 ] && echo true || echo false)}" >/dev/null &&
        devtools Emulation.setEmulatedMedia "{\"features\":[{\"name\":\"prefers-color-scheme\",\"value\":\"$3\"},
        {\"name\":\"prefers-reduced-motion\",\"value\":\"reduce\"}]}" >/dev/null
}

# screen FILE: the whole page, as it is drawn
screen() { devtools Page.captureScreenshot '{"format":"png","captureBeyondViewport":true}' | jq -r .data | base64 -d >"$1"; }

# What the browser's console has said since the last time.
console() { session POST /se/log '{"type":"browser"}' | jq -r '.[].message'; }
