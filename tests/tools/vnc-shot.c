/* SPDX-License-Identifier: MIT */
/* What a machine's screen shows, through VNC, as a PPM: vnc-shot ADDRESS:PORT FILE [PASSWORD] */
#include <rfb/rfbclient.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_SECONDS 3

static bool complete;
static const char *password;

/* libvncclient frees it.  A server that wants one that we do not have refuses the empty one. */
static char *tell_password(rfbClient *client)
{
    (void)client;
    return strdup(password ? password : "");
}

static void updated(rfbClient *client)
{
    (void)client;
    complete = true;
}

static int write_picture(const rfbClient *client, const char *path)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return -1;
    fprintf(file, "P6\n%d %d\n255\n", client->width, client->height);
    for (long i = 0; i < (long)client->width * client->height; i++)
        fwrite(client->frameBuffer + 4 * i, 1, 3, file);
    return fclose(file);
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4) {
        fputs("vnc-shot ADDRESS:PORT FILE [PASSWORD]\n", stderr);
        return 2;
    }
    char *args[] = { argv[0], (char *)"-encodings", (char *)"raw", argv[1], NULL };
    int n_args = 4;
    rfbEnableClientLogging = FALSE;
    rfbClient *client = rfbGetClient(8, 3, 4);
    client->FinishedFrameBufferUpdate = updated;
    client->GetPassword = tell_password;
    password = argv[3];
    if (!rfbInitClient(client, &n_args, args)) {
        fprintf(stderr, "vnc-shot: %s does not let us in\n", argv[1]);
        return 1;
    }
    /* QEMU draws what a screen shows when somebody looks: the first update may be of before. */
    for (time_t end = time(NULL) + LOOK_SECONDS; !complete || time(NULL) < end;) {
        int n = WaitForMessage(client, complete ? 200000 : 10000000);
        if (n == 0 && complete)
            continue;
        if (n <= 0 || !HandleRFBServerMessage(client)) {
            fprintf(stderr, "vnc-shot: %s sends no picture\n", argv[1]);
            return 1;
        }
    }
    int r = write_picture(client, argv[2]);
    free(client->frameBuffer);
    rfbClientCleanup(client);
    if (r < 0)
        perror(argv[2]);
    return r < 0;
}
