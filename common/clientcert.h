/* SPDX-License-Identifier: MIT */
/* The certificate that a user shows to servers, with its key: from PEM files, or from one PKCS #12 file, to PEM in memory,
 * so that who speaks with servers opens no files and knows no passphrase.
 */
#ifndef NX_COMMON_CLIENTCERT_H
#define NX_COMMON_CLIENTCERT_H

#include "common/buffer.h"
#include "common/error.h"

#define NX_CLIENTCERT_MAX (1u << 20) /* bytes of a file */

/* key_path NULL: the key is in cert_path, too.  pass_path: a file whose first line is the passphrase of the key, or NULL:
 * it is asked for on the terminal if there is one.  ret_chain gets the certificate and those behind it, ret_key the key,
 * in the clear: wipe it.  Both are empty buffers of NX_CLIENTCERT_MAX.  The message names option and file.
 */
int nx_clientcert_read(const char *cert_path, const char *key_path, const char *pass_path,
                       struct nx_buffer *ret_chain, struct nx_buffer *ret_key,
                       struct nx_error *err);

#endif
