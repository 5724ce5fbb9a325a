/* Understudy inside another program: one platform (a host with its adapters, the driver, a switch and a wire)
 * that the program drives step by step. A plain C interface for test tools and for other languages; made for
 * conformance suites that play the peer themselves, frame by frame.
 *
 * Rules for every function
 *   - Results are 0 or a useful number; -1 (NULL for understudy_create) is a failure. understudy_errno() and
 *     errno then hold an errno value, understudy_message() one line of English.
 *   - EINVAL: an argument is out of its range, or the handle is not that of the living platform. EIO: the
 *     model failed (the message says where); only understudy_destroy() is of use then. ENOMEM: no memory.
 *   - Nothing blocks, nothing is called back, no exception leaves the library.
 *   - Everything is called from the thread that created the platform; another one gets EINVAL. There is one
 *     platform in the life of a process: SystemC elaborates once. After fork() the child has a copy of the
 *     platform as it stood, which is how to have many runs from one beginning.
 *   - Same library, same scenario, same calls with the same arguments: the same frames at the same times. No
 *     wall clock has any influence.
 *
 * Time
 *   Instants are picoseconds of simulated time since its beginning, 0 to UNDERSTUDY_LAST (some 53 days). Time
 *   moves only inside understudy_advance(), _step() and _wait(), and inside socket calls as said there.
 *   After each of them everything up to the clock's instant has happened, that instant included.
 */
#ifndef UNDERSTUDY_EMBED_H
#define UNDERSTUDY_EMBED_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define UNDERSTUDY_API __attribute__((visibility("default")))
#else
#define UNDERSTUDY_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Rises when something here changes its meaning or goes; additions leave it. */
#define UNDERSTUDY_EMBED_ABI 1
/* The UNDERSTUDY_EMBED_ABI that the library was built with. */
UNDERSTUDY_API int understudy_embed_abi(void);

/* NOLINTBEGIN(modernize-use-using): this is C, too. */
typedef struct understudy_platform understudy_platform;

/* Of the call that failed last; 0 and "" before the first failure. The text stays until the next failure. */
UNDERSTUDY_API int understudy_errno(void);
UNDERSTUDY_API const char* understudy_message(void);

/* ---- the platform -------------------------------------------------------------------------------------- */

/* The platform of the scenario in file `scenario` (NULL: all defaults), with each of `count` overrides
 * "KEY=VALUE" applied in order, as --set does. Of a scenario everything counts that describes adapters, bus,
 * host, switch and wire, monitors, and live.address and live.address6 (10.77.0.2/24 and fd77::2/64 unless it
 * says otherwise), the host's addresses; workload.* and app.* do not, and [[fault]] is refused. embed.peer
 * says who else is on the wire: "none" (default), "lwip" or "responder". Returns when the driver has started
 * and the first adapter serves: the clock stands some 100 us after zero, and what the adapter has said so far
 * (its gratuitous ARP) waits to be taken. EINVAL: the file or an override is wrong (the message names file,
 * line and key). EBUSY: this process has, or had, a platform. */
UNDERSTUDY_API understudy_platform* understudy_create(const char* scenario, const char* const* overrides,
                                                      size_t count);

/* Take the platform down; NULL is taken. A platform that nobody destroys goes with the process. */
UNDERSTUDY_API int understudy_destroy(understudy_platform* u);

/* ---- time ---------------------------------------------------------------------------------------------- */

#define UNDERSTUDY_LAST ((int64_t)4611686018427387903)

UNDERSTUDY_API int64_t understudy_now(understudy_platform* u);

/* Go on to `until`, now or later. */
UNDERSTUDY_API int understudy_advance(understudy_platform* u, int64_t until);

/* Go on to the next instant at which anything happens in the model. 1: it has; 0: nothing will ever happen
 * (heartbeats go on as long as an adapter serves). */
UNDERSTUDY_API int understudy_step(understudy_platform* u);

#define UNDERSTUDY_WAKE_FRAME 1  /* an adapter has emitted a frame */
#define UNDERSTUDY_WAKE_SOCKET 2 /* something happened on a socket: see understudy_poll() */

/* Go on to the first instant, now included, at which one of `what` has happened since it was last reported,
 * but not beyond `until`, now or later. Returns those that have; 0: `until` is reached. A frame is reported
 * as long as frames wait to be taken; a socket once. */
UNDERSTUDY_API int understudy_wait(understudy_platform* u, int64_t until, int what);

/* ---- frames -------------------------------------------------------------------------------------------- */

#define UNDERSTUDY_FRAME_MIN 14
#define UNDERSTUDY_FRAME_MAX 9600

/* Put a frame on the wire: Ethernet header and payload, without FCS, UNDERSTUDY_FRAME_MIN to _MAX bytes,
 * copied. Its first bit leaves the program's station at `at`, now or later, or when the wire has become free;
 * frames for one instant go in the order of the calls. It reaches the serving adapter after its time on two
 * links (wire.rate), wire.delay and the switch's latency, if wire.impair lets it and it is addressed there:
 * the switch floods what it does not know. */
UNDERSTUDY_API int understudy_put_frame(understudy_platform* u, int64_t at, const void* frame, size_t bytes);

typedef struct understudy_frame {
  int64_t at;       /* the frame's first bit left its adapter */
  uint32_t bytes;   /* Ethernet header and payload, without FCS */
  uint32_t adapter; /* which one emitted it: 0, 1, ... */
  uint64_t missed;  /* frames given up before this one because 65536 waited already */
} understudy_frame;

/* The next frame that an adapter emitted, in order, whoever it is addressed to. Returns its length and fills
 * `room` and `info` (NULL: not wanted). EAGAIN: none waits. EMSGSIZE: it is longer than `bytes`; it stays,
 * and `info` is filled. Frames are told as the adapter made them: wire.impair strikes later. */
UNDERSTUDY_API ptrdiff_t understudy_take_frame(understudy_platform* u, void* room, size_t bytes,
                                               understudy_frame* info);

/* ---- sockets of the host behind the adapter -------------------------------------------------------------
 */
/* Non-blocking TCP sockets over the offload, as of POSIX where nothing else is said; descriptors are the
 * platform's own, the lowest free one from 0. A call runs on the host's modelled CPU: it takes effect when
 * the CPU gets to it, at once if it is idle, so that the clock may stand some microseconds later after a
 * call; and it occupies the CPU for a while after that. What it causes on the wire follows when time moves
 * on. EBADF: no such descriptor. */

typedef struct understudy_address {
  uint8_t ip[16]; /* network order; IPv4 a.b.c.d as ::ffff:a.b.c.d; all zero: any */
  uint16_t port;  /* 1 to 65535; 0: any */
} understudy_address;

UNDERSTUDY_API int understudy_socket(understudy_platform* u);
/* EINVAL: it is bound, listening or connected. A port in use shows in listen and connect. */
UNDERSTUDY_API int understudy_bind(understudy_platform* u, int fd, const understudy_address* local);
/* `backlog`: 1 to 65535. EADDRINUSE. The adapter knows of it some microseconds later. */
UNDERSTUDY_API int understudy_listen(understudy_platform* u, int fd, int backlog);
/* The next connection whose handshake is complete, and its peer (NULL: not wanted). EAGAIN: none waits. */
UNDERSTUDY_API int understudy_accept(understudy_platform* u, int fd, understudy_address* peer);
/* -1 with EINPROGRESS: the handshake has begun; UNDERSTUDY_CONNECTED or _ERROR follows. EALREADY, EISCONN,
 * EADDRINUSE, ENETDOWN. */
UNDERSTUDY_API int understudy_connect(understudy_platform* u, int fd, const understudy_address* peer);
/* Bytes read; 0: end of the stream. EAGAIN, ENOTCONN, or what ended the connection: ECONNRESET, ETIMEDOUT,
 * ECONNREFUSED, EHOSTUNREACH, ENETDOWN, told once. */
UNDERSTUDY_API ptrdiff_t understudy_read(understudy_platform* u, int fd, void* room, size_t bytes);
/* Bytes taken, perhaps fewer than given. EAGAIN, ENOTCONN, EPIPE, or what ended the connection. */
UNDERSTUDY_API ptrdiff_t understudy_write(understudy_platform* u, int fd, const void* data, size_t bytes);

#define UNDERSTUDY_SHUT_RD 0   /* EOPNOTSUPP: the read side closes with the socket */
#define UNDERSTUDY_SHUT_WR 1   /* a FIN behind what was written */
#define UNDERSTUDY_SHUT_RDWR 2 /* EOPNOTSUPP */
UNDERSTUDY_API int understudy_shutdown(understudy_platform* u, int fd, int how);
/* In order; with bytes unread by RST (RFC 1122 4.2.2.13). */
UNDERSTUDY_API int understudy_close(understudy_platform* u, int fd);
/* RST now; the descriptor stays open. As SO_LINGER 0 and close(). */
UNDERSTUDY_API int understudy_abort(understudy_platform* u, int fd);

/* Options; a socket that listens hands its own to those it accepts. `settable`: f: before listen or connect,
 * a: at any time, -: never. EINVAL: unknown, out of range, or too late. */
#define UNDERSTUDY_SO_FAILOVER 0       /* f  0 or 1 (default): survives its adapter */
#define UNDERSTUDY_SO_RCVBUF 1         /* f  bytes, from 1 */
#define UNDERSTUDY_SO_SNDBUF 2         /* f  bytes, from 1 */
#define UNDERSTUDY_SO_NODELAY 3        /* a  0: small segments wait for ACKs; 1: they do not */
#define UNDERSTUDY_SO_KEEPALIVE 4      /* a  0 or 1: a silent peer is probed */
#define UNDERSTUDY_SO_KEEPALIVE_IDLE 5 /* a  seconds, 1 to 65535 */
#define UNDERSTUDY_SO_ERROR 6          /* -  pending errno, cleared by reading it */
#define UNDERSTUDY_SO_COMMIT 7         /* f  a listener's UNDERSTUDY_COMMIT_..., with SO_FAILOVER 1 */
#define UNDERSTUDY_SO_URGENT 8         /* f  0 or 1: the adapter announces its connections at once */
#define UNDERSTUDY_SO_SPEAKS_FIRST 9   /* f  0 or 1: the server of this listener sends before its peers do */

/* From when on a substitute knows a connection that a protected listener takes. */
#define UNDERSTUDY_COMMIT_BEFORE_SYNACK 0   /* the SYN-ACK leaves when the host has been told */
#define UNDERSTUDY_COMMIT_BEFORE_DATA_ACK 1 /* from the peer's next segment; not with SO_SPEAKS_FIRST 1 */
#define UNDERSTUDY_COMMIT_LAZY 2            /* once it is announced; reset if the adapter dies before */
UNDERSTUDY_API int understudy_setsockopt(understudy_platform* u, int fd, int option, int value);
UNDERSTUDY_API int understudy_getsockopt(understudy_platform* u, int fd, int option, int* value);

#define UNDERSTUDY_READABLE 1
#define UNDERSTUDY_WRITABLE 2
#define UNDERSTUDY_ACCEPTABLE 4
#define UNDERSTUDY_CONNECTED 8 /* the handshake is complete, and not both ends have closed */
#define UNDERSTUDY_EOF 16      /* every byte is read, and the peer has sent its FIN */
#define UNDERSTUDY_ERROR 32    /* an error waits: read, write or UNDERSTUDY_SO_ERROR tell it */
#define UNDERSTUDY_CLOSED 64   /* both ends have closed, or an error has ended it */

/* What holds of a socket now; no time passes. EBADF. */
UNDERSTUDY_API int understudy_poll(understudy_platform* u, int fd);
/* ENOTCONN. */
UNDERSTUDY_API int understudy_getpeername(understudy_platform* u, int fd, understudy_address* out);
/* All zero as long as nothing is known. */
UNDERSTUDY_API int understudy_getsockname(understudy_platform* u, int fd, understudy_address* out);

/* ---- who is there ---------------------------------------------------------------------------------------
 */

typedef struct understudy_station {
  uint8_t mac[6];
  uint8_t prefix; /* bits of the network, of 128: 96 + n for IPv4 */
  uint8_t ip[16];
} understudy_station;

/* The host behind the adapters, by its IPv4 address. */
UNDERSTUDY_API int understudy_host(understudy_platform* u, understudy_station* out);
/* The same by its IPv6 address. ENOENT: live.address6 is empty. */
UNDERSTUDY_API int understudy_host6(understudy_platform* u, understudy_station* out);
/* The station of embed.peer: lwIP with an echo service on port 7 and discard on 9, or a responder, which
 * takes every connection and sends back what comes. ENOENT: there is none. */
UNDERSTUDY_API int understudy_peer(understudy_platform* u, understudy_station* out);

/* The adapter that serves: 0, 1, ...; EAGAIN: a substitute is taking over; ENODEV: none is left. */
UNDERSTUDY_API int understudy_active(understudy_platform* u);
/* `adapter` (-1: the one that serves) is dead from now on. Returns which one. ENODEV: there is no such
 * adapter, or it is dead. */
UNDERSTUDY_API int understudy_kill(understudy_platform* u, int adapter);

/* ---- judgement ------------------------------------------------------------------------------------------
 */

/* Violations that the monitors have seen so far; 0 with monitors = "off". */
UNDERSTUDY_API int64_t understudy_violations(understudy_platform* u);
/* The first one of the first monitor that was violated, "" if none; it stays until the next call. */
UNDERSTUDY_API const char* understudy_violation(understudy_platform* u);
/* Hash over everything that has happened: equal runs have equal ones. 0 on failure. */
UNDERSTUDY_API uint64_t understudy_hash(understudy_platform* u);

/* NOLINTEND(modernize-use-using) */
#ifdef __cplusplus
}
#endif

#endif
