/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The face of the adapter to a driver: registers, input descriptors, output (commit) records.
 * Freestanding C (C99) so that a kernel driver can include it as it is. Everything is little-endian in memory
 * and on the bus, whatever the host; every layout has fixed-width fields without padding and is pinned by
 * static assertions.
 *
 * Words: IDT = input descriptor table (host writes, adapter reads). ODT = output descriptor table (adapter
 * writes 64-byte commit records, host reads). Both are rings of 64-byte entries in host memory with
 * free-running 32-bit indices; entry i lies in slot i modulo the ring size.
 */
#ifndef UNDERSTUDY_ABI_H
#define UNDERSTUDY_ABI_H

#if defined(__KERNEL__)
#include <linux/types.h>
#else
#include <stddef.h>
#include <stdint.h>
#endif

#ifdef __cplusplus
extern "C" {
#define US_STATIC_ASSERT(c, m) static_assert(c, m)
#else
#define US_STATIC_ASSERT(c, m) _Static_assert(c, m)
#endif

/* ---------------------------------------------------------------- identification */
#define US_PCI_VENDOR 0x1d9bu /* configuration space: vendor (for the model; not assigned) */
#define US_PCI_DEVICE 0x5553u /* configuration space: device */
#define US_MAGIC 0x59445355u  /* US_REG_ID: "USDY" */
#define US_ABI_MAJOR 1u       /* a driver refuses another major version */
/* Later minors only add. 1: SET_OPTIONS. 2: announcement in bulk. 3: SEND_RAW, DMA_ATOMIC. 4: SET_GROUP,
 * direct receive buffers, HOLD_, WAIT_US. 5: VLANs, INLINE, BAD_DOORBELLS.
 * 6: heartbeats say which doorbells have arrived. 7: transmit queues; an adapter without any is one of minor
 * 6. */
#define US_ABI_MINOR 7u
#define US_ABI_MINOR_WITHOUT_QUEUES 6u

/* US_REG_FEATURES: a driver refuses an adapter that lacks a bit it needs. */
#define US_FEATURE_TCP (1u << 0)
#define US_FEATURE_COMMIT_RECORDS (1u << 1)
#define US_FEATURE_RESTORE (1u << 2)
#define US_FEATURE_TIMESTAMPS (1u << 3)
#define US_FEATURE_WINDOW_SCALE (1u << 4)
#define US_FEATURE_HEARTBEAT (1u << 5)
#define US_FEATURE_SET_OPTIONS (1u << 6)
#define US_FEATURE_ANNOUNCE (1u << 7) /* ANNOUNCE_ registers, FLUSH, ACCEPTED, terms of LISTEN */
#define US_FEATURE_SEND_RAW (1u << 8)
#define US_FEATURE_MEMORY (1u << 9)  /* SET_GROUP, US_RX_DIRECT, HOLD_ registers, WAIT_US, FLUSH of a cid */
#define US_FEATURE_VLAN (1u << 10)   /* vlan of SET_ADDRESS */
#define US_FEATURE_INLINE (1u << 11) /* US_SEND_INLINE, INLINE */
#define US_FEATURE_ECHO (1u << 12)   /* idt_tail, odt_head of the heartbeat */
#define US_FEATURE_TX_QUEUES (1u << 13) /* TX_QUEUES, US_TX_REGISTERS, tx_tail of the heartbeat */

/* ---------------------------------------------------------------- registers (BAR 0, 32 bits wide, 32-bit
 * access) US_REGISTERS(X): X(name, offset, access, reset, sentence). Access: ro, rw, wo (reads as 0). */
#define US_BAR0_SIZE 4096u
#define US_REGISTERS(X)                                                                                      \
  X(ID, 0x000u, ro, US_MAGIC, "Magic number 'USDY'; all-ones means that nobody answers.")                    \
  X(ABI_VERSION, 0x004u, ro, (US_ABI_MAJOR << 16 | US_ABI_MINOR_WITHOUT_QUEUES),                             \
    "Major version in bits 31:16, minor in 15:0; with transmit queues minor 7.")                             \
  X(FEATURES, 0x008u, ro, 0u, "US_FEATURE_ bits.")                                                           \
  X(STATUS, 0x00cu, ro, 0u, "US_STATUS_ bits.")                                                              \
  X(CONTROL, 0x010u, rw, 0u, "US_CONTROL_ bits.")                                                            \
  X(MAX_CONNECTIONS, 0x014u, ro, 0u, "Connections that the table holds.")                                    \
  X(IDT_BASE_LO, 0x020u, rw, 0u, "Bus address of the input descriptor table, bits 31:0; 64-byte aligned.")   \
  X(IDT_BASE_HI, 0x024u, rw, 0u, "Bits 63:32.")                                                              \
  X(IDT_SIZE, 0x028u, rw, 0u, "Entries of the input table: a power of two, 16 to 65536.")                    \
  X(IDT_TAIL, 0x02cu, rw, 0u,                                                                                \
    "Doorbell: free-running index one past the last entry that the host has written.")                       \
  X(IDT_HEAD, 0x030u, ro, 0u, "Free-running count of input descriptors executed.")                           \
  X(ODT_BASE_LO, 0x040u, rw, 0u, "Bus address of the output descriptor table, bits 31:0; 64-byte aligned.")  \
  X(ODT_BASE_HI, 0x044u, rw, 0u, "Bits 63:32.")                                                              \
  X(ODT_SIZE, 0x048u, rw, 0u, "Entries of the output table: a power of two, 16 to 65536.")                   \
  X(ODT_HEAD, 0x04cu, rw, 0u,                                                                                \
    "Doorbell: free-running index of the first record not yet consumed; arms the interrupt.")                \
  X(HEARTBEAT_LO, 0x060u, rw, 0u, "Bus address of the 64-byte heartbeat block, bits 31:0; 64-byte aligned.") \
  X(HEARTBEAT_HI, 0x064u, rw, 0u, "Bits 63:32.")                                                             \
  X(HEARTBEAT_US, 0x068u, rw, 0u, "Period of the heartbeat write in microseconds; 0 switches it off.")       \
  X(EPOCH, 0x070u, rw, 0u, "Bits 15:0 are written into every record and heartbeat.")                         \
  X(CLOCK_MS, 0x074u, rw, 0u,                                                                                \
    "Host-wide millisecond clock from which TSval is made; runs on from the written value.")                 \
  X(SECRET_0, 0x080u, wo, 0u,                                                                                \
    "Key for initial sequence numbers (RFC 6528) and timestamp offsets, bits 31:0.")                         \
  X(SECRET_1, 0x084u, wo, 0u, "Bits 63:32.")                                                                 \
  X(SECRET_2, 0x088u, wo, 0u, "Bits 95:64.")                                                                 \
  X(SECRET_3, 0x08cu, wo, 0u, "Bits 127:96.")                                                                \
  X(ANNOUNCE_COUNT, 0x0a0u, rw, 0u,                                                                          \
    "Connections that one announcement gathers, 1 to 1024; 0: each is announced by itself, and every "       \
    "record "                                                                                                \
    "interrupts, as in minor 1.")                                                                            \
  X(ANNOUNCE_AGE_US, 0x0a4u, rw, 0u,                                                                         \
    "Microseconds that an established connection waits for more to be announced with; 0: for ever.")         \
  X(ANNOUNCE_NOW, 0x0a8u, wo, 0u, "The host is idle: what has been gathered is announced.")                  \
  X(HOLD_BYTES, 0x0b0u, rw, 0u,                                                                              \
    "Received bytes of one connection that are held back to be given to the host together; 0: no limit.")    \
  X(HOLD_COUNT, 0x0b4u, rw, 0u, "The same in pieces of payload, one a segment; 0: no limit.")                \
  X(HOLD_US, 0x0b8u, rw, 0u,                                                                                 \
    "Microseconds that received payload is held back at most, and not acknowledged; 0: not at all.")         \
  X(HOLD_EXPEDITE, 0x0bcu, rw, 0u,                                                                           \
    "Pushed and urgent payload is not held back, nor what was held of its connection. 0: as any other.")     \
  X(WAIT_US, 0x0d0u, rw, 0u,                                                                                 \
    "Microseconds that payload of a US_MEM_DIRECT connection waits for a direct buffer before it takes "     \
    "another.")                                                                                              \
  X(DROPPED_BLOCKED, 0x0c0u, ro, 0u, "Frames dropped because reception is blocked.")                         \
  X(DROPPED_BAD, 0x0c4u, ro, 0u, "Frames dropped because a length, checksum or option is wrong.")            \
  X(REFUSED_COMMANDS, 0x0c8u, ro, 0u,                                                                        \
    "Input descriptors refused, each answered by a US_REC_REFUSED record.")                                  \
  X(DMA_ATOMIC, 0x0ccu, ro, 64u,                                                                             \
    "Bytes of the largest write that is in host memory whole or not at all, and its alignment.")             \
  X(BAD_DOORBELLS, 0x0d4u, ro, 0u,                                                                           \
    "Doorbells that go back or beyond their ring; each is ignored and changes nothing else.")                \
  X(TX_QUEUES, 0x0d8u, ro, 0u, "Transmit queues, 0 to 8, each with its registers from 0x400 + 32 n on.")

enum us_register {
#define US_X(name, offset, access, reset, text) US_REG_##name = (offset),
  US_REGISTERS(US_X)
#undef US_X
};

/* Transmit queues: rings of SEND_RAW descriptors beside the input table. Queue n has these registers at
 * US_TX_QUEUE(n) + offset; they are there if n < TX_QUEUES. A queue runs from the write that sets
 * US_TX_ENABLE until one that clears it, a reset, or a descriptor that cannot be understood. */
#define US_TX_QUEUES_MOST 8u
#define US_TX_BLOCK 0x400u
#define US_TX_BLOCK_BYTES 0x20u
#define US_TX_QUEUE(n) (US_TX_BLOCK + (n)*US_TX_BLOCK_BYTES)
#define US_TX_REGISTERS(X)                                                                                  \
  X(BASE_LO, 0x00u, rw, 0u,                                                                                 \
    "Bus address of the queue's ring, bits 31:0; 64-byte aligned. It and SIZE are taken by ENABLE.")        \
  X(BASE_HI, 0x04u, rw, 0u, "Bits 63:32.")                                                                  \
  X(SIZE, 0x08u, rw, 0u, "Entries of the ring: a power of two, 16 to 65536.")                               \
  X(CONTROL, 0x0cu, rw, 0u,                                                                                 \
    "US_TX_ENABLE. Set: the queue begins with an empty ring, unless STATUS says why not. Cleared: what is " \
    "open in it is forgotten, and no record tells of it.")                                                  \
  X(TAIL, 0x10u, rw, 0u, "Doorbell: free-running index one past the last entry that the host has written.") \
  X(HEAD, 0x14u, ro, 0u, "Free-running count of descriptors taken, whose slots are free again.")            \
  X(STATUS, 0x18u, ro, 0u,                                                                                  \
    "US_TX_RUNNING, or in bits 7:0 the us_status for which ENABLE was refused or the queue has stopped.")

enum us_tx_register {
#define US_X(name, offset, access, reset, text) US_TX_##name = (offset),
  US_TX_REGISTERS(US_X)
#undef US_X
};
#define US_TX_ENABLE (1u << 0)   /* of CONTROL */
#define US_TX_RUNNING (1u << 31) /* of STATUS */

/* ENABLE: fetch descriptors, write records, beat; the rings must be set up before.
 * RX_ENABLE: accept frames. Clear (after reset): every frame is dropped, nothing is answered. Setting it on
 * an adapter that holds restored connections kicks each of them. */
#define US_CONTROL_ENABLE (1u << 0)
#define US_CONTROL_RX_ENABLE (1u << 1)
#define US_CONTROL_RESET (1u << 2) /* write 1: back to the state after power-on */

#define US_STATUS_READY (1u << 0)
#define US_STATUS_RX_BLOCKED (1u << 1)
#define US_STATUS_FATAL (1u << 2) /* a DMA failed or a ring is unusable: the adapter has stopped itself */

/* MSI-X table in BAR 0: 16 bytes a vector: address low, address high, data, vector control (bit 0 masks, and
 * is set after a reset). The pending bits, read-only: bit v for vector v (PCI 3.0 6.8.2). */
#define US_MSIX_TABLE 0x800u
#define US_MSIX_VECTORS 2u
#define US_MSIX_PBA (US_MSIX_TABLE + 16u * US_MSIX_VECTORS)
#define US_VECTOR_RECORDS 0u /* records wait in the output table */
#define US_VECTOR_HEALTH 1u  /* US_STATUS changed */

/* ---------------------------------------------------------------- input descriptors */
enum us_opcode {
  US_OP_NOP = 0,
  US_OP_SET_ADDRESS = 1, /* local address by index */
  US_OP_LISTEN = 2,
  US_OP_UNLISTEN = 3,
  US_OP_CONNECT = 4,
  US_OP_SEND = 5,         /* a range of the send stream lies in host memory */
  US_OP_POST_RX = 6,      /* a receive buffer for one connection: raises its grant */
  US_OP_POST_POOL = 7,    /* a receive buffer for whichever connection comes next */
  US_OP_CLOSE = 8,        /* no more sends: FIN after the last posted byte */
  US_OP_ABORT = 9,        /* RST */
  US_OP_RESTORE = 10,     /* hard state of a live connection, for a substitute */
  US_OP_SET_OPTIONS = 11, /* what a socket may ask of its connection at any time */
  US_OP_FLUSH = 12,       /* announce what has been gathered; with a cid: hand over what is held of it */
  US_OP_ACCEPTED = 13,    /* accept credits of a listener go up. Uses .listen: port, addr_index, credits */
  US_OP_SEND_RAW = 14,    /* a piece of an Ethernet frame that the host has built */
  US_OP_SET_GROUP = 15,   /* which connections begin with the pool buffers of a group */
  US_OP_INLINE = 16,      /* more of the bytes of the SEND before it */
  US_OP_OPCODES = 17      /* first value that is not an opcode */
};

/* What a listener or a connect() asks for its connections: attributes by which groups match, and US_MEM_. */
struct us_memory_terms {
  uint32_t process;
  uint16_t set;           /* the application's name for a set of connections */
  uint8_t priority_class; /* priority in bits 3:0, size class in 7:4 */
  uint8_t memory;         /* US_MEM_ bits */
};
#define US_MEM_DIRECT (1u << 0)   /* the application posts buffers: payload may wait for one */
#define US_MEM_EXPEDITE (1u << 1) /* its payload is never held back */

/* A bus range of the host; IPv4 addresses stand as ::ffff:a.b.c.d everywhere. */
struct us_idt_entry {
  uint8_t opcode;   /* enum us_opcode */
  uint8_t flags;    /* per opcode */
  uint16_t index16; /* low 16 bits of the entry's free-running index: a stale entry is recognised */
  uint32_t cid;     /* connection, or US_NO_CID */
  union {
    struct {
      uint8_t mac[6];
      uint8_t addr_index; /* 0 to US_ADDRESSES - 1 */
      uint8_t prefix_len; /* of ip, in bits, 0 to 128 (IPv4: 96 + length) */
      uint8_t ip[16];
      uint8_t gateway[16]; /* all zero: none */
      uint16_t mtu;        /* of IP packets, 576 to 9000 */
      uint16_t vlan; /* frames of this address carry its tag, 1 to US_VLAN_MOST (IEEE 802.1Q); 0: none */
      uint8_t reserved[8];
    } set_address;
    struct {
      uint16_t port; /* host byte order of the descriptor: little-endian, as every field */
      uint8_t addr_index;
      uint8_t commit;         /* enum us_commit_policy, of protected connections */
      uint32_t backlog;       /* connections not yet announced or half-open */
      uint32_t cookies_above; /* half-open connections from which on SYNs are answered by cookies; 0: never */
      uint32_t credits; /* connections that may be announced; ACCEPTED: so many more. 0 in LISTEN: no limit */
      struct us_memory_terms memory;
      uint8_t reserved[28];
    } listen; /* LISTEN and UNLISTEN; flags: US_CONN_PROTECTED for the connections it accepts, US_LISTEN_ */
    struct {
      uint8_t peer_ip[16];
      uint16_t local_port;
      uint16_t peer_port;
      uint8_t addr_index;
      uint8_t reserved0[3];
      uint32_t iss; /* initial sequence number, chosen by the host so that a substitute can repeat the SYN */
      struct us_memory_terms memory;
      uint8_t reserved[16];
    } connect; /* cid = US_NO_CID; flags: US_CONN_PROTECTED, US_LISTEN_URGENT */
    struct {
      uint32_t iova_lo;
      uint32_t iova_hi;
      uint32_t len;     /* 1 to 2^20 */
      uint32_t seq_end; /* sequence number after the range's last byte */
      uint8_t data[36]; /* US_SEND_INLINE: the first bytes of the range, which lie at iova as well */
    } send; /* CLOSE uses seq_end alone: the number after the FIN. SEND_RAW: cid = US_NO_CID, seq_end unused,
               flags: US_RAW_MORE */
    struct {
      uint32_t iova_lo;
      uint32_t iova_hi;
      uint32_t len;      /* bytes of this grant: 1 to 2^20 */
      uint32_t buf_id;   /* the host's name, returned in records */
      uint32_t base_off; /* records' off counts from iova - base_off: remainder of a buffer that was begun
                            elsewhere */
      uint32_t
          edge; /* POST_RX: the right window edge may go there, which is so far as all its buffers reach */
      uint8_t group; /* POST_POOL: 0 (the default group) to US_GROUPS - 1 */
      uint8_t reserved[27];
    } rx; /* flags of POST_RX: US_RX_DIRECT */
    struct {
      uint8_t index;  /* 1 to US_GROUPS - 1; 0, which matches all that no other does, cannot be set */
      uint8_t lender; /* group whose buffers it may use when it has none; US_NO_GROUP */
      uint16_t terms; /* US_TERM_ bits: what must be equal for a connection to belong to it */
      uint16_t local_port;
      uint16_t vlan;
      uint32_t process;
      uint16_t set;
      uint8_t dscp;
      uint8_t priority_class;
      uint8_t local_prefix; /* bits, 0 to 128 (IPv4: 96 + length) */
      uint8_t remote_prefix;
      uint16_t quota; /* connections not yet announced that may hold its buffers; 0: no limit */
      uint8_t local_ip[16];
      uint8_t remote_ip[16];
    } group;
    struct {
      uint8_t peer_ip[16];
      uint16_t local_port;
      uint16_t peer_port;
      uint8_t addr_index;
      uint8_t state;    /* enum us_tcp_state */
      uint8_t conn;     /* US_CONN_ bits */
      uint8_t wscale;   /* ours (shift of windows we send) in bits 3:0, the peer's in 7:4 */
      uint16_t mss;     /* largest payload we may send, options not deducted (RFC 6691) */
      uint16_t fin;     /* US_FIN_TX, US_FIN_RX */
      uint32_t rcv_nxt; /* exact: committed bytes (SYN and FIN counted) */
      uint32_t snd_una; /* at or below the truth */
      uint32_t snd_max; /* at or above the truth: after the last posted byte, FIN counted */
      uint32_t rcv_adv; /* highest right edge that was or may have been advertised */
      uint32_t iss;
      uint8_t group;
      uint8_t memory; /* US_MEM_ bits */
      uint16_t reserved0;
    } restore;
    struct {
      uint32_t options; /* US_OPT_ bits; those not set are off */
      uint16_t
          keepalive_idle_s; /* seconds of silence before the first keep-alive; 0: the adapter's default */
      uint8_t reserved[46];
    } set_options;           /* soft: a substitute is told again */
    uint8_t inline_data[52]; /* INLINE: the next bytes of the range */
    uint8_t raw[52];
  } u;
  uint32_t crc; /* CRC-32C (Castagnoli, reflected, init and final xor all-ones) of the first 60 bytes */
};
#define US_NO_CID 0xffffffffu
#define US_VLAN_MOST 4094u /* 4095 is reserved (IEEE 802.1Q table 9-2) */
/* Flag of SEND: up to US_INLINE_MOST bytes stand in it and in the INLINE entries that follow at once, so that
 * no read is needed to send them. The range at iova stays what is true: it is what another adapter gets, and
 * what this one reads if an INLINE entry is missing or it has no room. */
#define US_SEND_INLINE (1u << 0)
#define US_INLINE_MOST 192u
#define US_RAW_MORE (1u << 0) /* SEND_RAW: the frame goes on with the next descriptor */
#define US_RAW_PIECES 4u      /* of a frame, at most */
#define US_RAW_MIN_BYTES 14u  /* of a frame, without FCS: shorter than 60 is padded with zeros */
#define US_RAW_MAX_BYTES 9018u
#define US_NO_BUF 0xffffffffu
#define US_ADDRESSES 16u
#define US_GROUPS 16u
#define US_NO_GROUP 0xffu
#define US_RX_DIRECT (1u << 0) /* POST_RX: the application's own buffer, used before those without */

/* SET_GROUP: terms, all of which must hold. The most specific group wins; two that could both hold without
 * one containing the other are ambiguous, and the later is refused (US_ERR_BAD_STATE). */
#define US_TERM_LOCAL_PORT (1u << 0)
#define US_TERM_LOCAL_PREFIX (1u << 1)
#define US_TERM_REMOTE_PREFIX (1u << 2)
#define US_TERM_VLAN (1u << 3)
#define US_TERM_DSCP (1u << 4)
#define US_TERM_PROCESS (1u << 5)
#define US_TERM_SET (1u << 6)
#define US_TERM_PRIORITY (1u << 7)
#define US_TERM_SIZE_CLASS (1u << 8)
#define US_TERMS_ALL 0x1ffu

/* Connection attributes, agreed in the handshake and constant after it. */
#define US_CONN_PROTECTED (1u << 0) /* commit rule holds; recovered by a substitute */
#define US_CONN_TS (1u << 1)        /* timestamps on (RFC 7323) */
#define US_CONN_SACK (1u << 2)      /* SACK permitted by both (RFC 2018) */
#define US_CONN_WS (1u << 3)        /* window scaling on (RFC 7323) */
#define US_CONN_ECN (1u << 4)       /* ECN negotiated (RFC 3168) */
#define US_CONN_PASSIVE (1u << 5)   /* the peer opened it */

/* Flags of LISTEN. A listener whose server speaks first cannot have US_COMMIT_BEFORE_DATA_ACK
 * (US_ERR_BAD_STATE) and drops SYNs where others answer with cookies: nothing that its peer sends would bring
 * a lost connection back. */
#define US_LISTEN_URGENT (1u << 5)       /* its connections are announced at once */
#define US_LISTEN_SPEAKS_FIRST (1u << 6) /* the server speaks first */
#define US_LISTEN_TAKEOVER (1u << 7)     /* by a substitute: peers may answer cookies of the old adapter */

/* When a protected connection that the peer may believe established becomes known to the host. */
enum us_commit_policy {
  US_COMMIT_BEFORE_SYNACK = 0, /* the SYN-ACK leaves after an EMBRYO record is visible */
  US_COMMIT_BEFORE_DATA_ACK =
      1,             /* its ISS is a cookie: a substitute learns it from the peer's next segment */
  US_COMMIT_LAZY = 2 /* with its announcement: lost, by an RST, if the adapter dies before */
};

#define US_OPT_NAGLE (1u << 0)     /* small segments wait while data is in flight (RFC 9293 3.7.4) */
#define US_OPT_KEEPALIVE (1u << 1) /* probe a silent peer (RFC 9293 3.8.4) */
#define US_OPT_EXPEDITE (1u << 2)  /* US_MEM_EXPEDITE */
#define US_OPT_DIRECT (1u << 3)    /* US_MEM_DIRECT */

#define US_FIN_TX (1u << 0) /* the host has posted its FIN */
#define US_FIN_RX (1u << 1) /* the peer's FIN is committed */

enum us_tcp_state { /* RFC 9293 3.3.2 */
                    US_TCP_CLOSED = 0,
                    US_TCP_LISTEN = 1,
                    US_TCP_SYN_SENT = 2,
                    US_TCP_SYN_RCVD = 3,
                    US_TCP_ESTABLISHED = 4,
                    US_TCP_FIN_WAIT_1 = 5,
                    US_TCP_FIN_WAIT_2 = 6,
                    US_TCP_CLOSE_WAIT = 7,
                    US_TCP_CLOSING = 8,
                    US_TCP_LAST_ACK = 9,
                    US_TCP_TIME_WAIT = 10
};

/* ---------------------------------------------------------------- commit records */
enum us_record_type {
  US_REC_NONE = 0,        /* a slot that was never written */
  US_REC_EMBRYO = 1,      /* a peer's SYN was accepted; precedes what acknowledges it. Uses .conn */
  US_REC_ESTABLISHED = 2, /* handshake complete, either direction. Uses .conn */
  US_REC_DATA = 3,        /* payload placed, or FIN (flag, len may be 0). Uses .data */
  US_REC_ACKED = 4,       /* snd_una moved. Uses nothing more */
  US_REC_ABORTED = 5,     /* ended by RST, time-out or refusal: .end.status; the cid is free */
  US_REC_CLOSED = 6,      /* ended in order, TIME_WAIT over; the cid is free */
  US_REC_CREDIT = 7,      /* only idt_head moved */
  US_REC_REFUSED = 8,     /* an input descriptor was refused: .end */
  US_REC_TIME_WAIT = 9,   /* both FINs exchanged and acknowledged; CLOSED follows after 2 MSL */
  US_REC_RAW = 10,        /* SEND_RAW frames of .end.ring are over, to the one whose last descriptor is
                             .end.index: that one with .end.status, the others sent */
  US_REC_TX_STOPPED = 11  /* the transmit queue .end.ring has stopped for .end.status; nothing from descriptor
                             .end.index on was sent, and all before are reported */
};

#define US_REC_FLAG_FIN (1u << 0)  /* rcv_nxt covers the peer's FIN */
#define US_REC_FLAG_DONE (1u << 1) /* the buffer's last byte is used: the host owns it again */
#define US_REC_FLAG_PUSH (1u << 2) /* the peer set PSH */
#define US_REC_FLAG_URG (1u << 3)
#define US_REC_FLAG_QUIET (1u << 4) /* no interrupt follows for this record: it is read with the next one */

enum us_status {
  US_OK = 0,
  US_ERR_RESET = 1,   /* RST from the peer */
  US_ERR_TIMEOUT = 2, /* retransmissions or probes exhausted (RFC 1122 4.2.3.5) */
  US_ERR_REFUSED = 3, /* RST in SYN_SENT */
  US_ERR_NO_RESOURCES = 4,
  US_ERR_ABORTED = 5, /* by the host */
  US_ERR_DMA = 6,     /* a read of the descriptor's range failed: nothing of it was used */
  US_ERR_BAD_OPCODE = 16,
  US_ERR_BAD_CRC = 17,
  US_ERR_BAD_CID = 18,
  US_ERR_BAD_LENGTH = 19,
  US_ERR_BAD_SEQUENCE = 20,
  US_ERR_BAD_ADDRESS = 21,
  US_ERR_BAD_STATE = 22,
  US_ERR_IN_USE = 23
};

struct us_record {
  uint8_t type;   /* enum us_record_type */
  uint8_t flags;  /* US_REC_FLAG_ bits */
  uint16_t epoch; /* US_REG_EPOCH when it was written: older ones are refused by the host */
  uint32_t cid;
  uint32_t number;   /* free-running index of the record: it is valid in its slot if number and crc match */
  uint32_t rcv_nxt;  /* committed with this record: the substitute starts here */
  uint32_t snd_una;  /* includes the ACK of the segment that this record commits */
  uint32_t snd_wnd;  /* peer's window in bytes, for statistics */
  uint32_t rcv_adv;  /* highest right edge advertised, or about to be */
  uint32_t idt_head; /* input descriptors consumed so far */
  union {
    struct {
      uint8_t peer_ip[16];
      uint16_t local_port;
      uint16_t peer_port;
      uint8_t addr_index;
      uint8_t conn;   /* US_CONN_ bits */
      uint8_t wscale; /* ours in bits 3:0, the peer's in 7:4 */
      uint8_t group;
      uint16_t mss;      /* largest payload we may send, options not deducted */
      uint16_t pool_kib; /* size of the pool buffer that came with the connection, in KiB; 0: none */
    } conn; /* EMBRYO: rcv_nxt is IRS + 1; snd_una is ISS, or ISS + 1 if the peer has acknowledged our SYN.
               The pool buffer's id rides in snd_wnd (US_NO_BUF: none) */
    struct {
      uint32_t buf_id;
      uint32_t off; /* of the payload in the buffer */
      uint32_t len;
      uint8_t reserved[16];
    } data;
    struct {
      uint32_t status; /* enum us_status */
      uint32_t opcode; /* REFUSED: of the descriptor */
      uint32_t index;  /* REFUSED: free-running index of the descriptor */
      uint32_t ring;   /* RAW, TX_STOPPED: 0: the input table; n: transmit queue n - 1 */
      uint8_t reserved[12];
    } end;
    uint8_t raw[28];
  } u;
  uint32_t crc; /* CRC-32C of the first 60 bytes */
};

#define US_ENTRY_BYTES 64u
US_STATIC_ASSERT(sizeof(struct us_idt_entry) == US_ENTRY_BYTES, "input descriptor is 64 bytes");
US_STATIC_ASSERT(offsetof(struct us_idt_entry, u) == 8, "descriptor body starts at 8");
US_STATIC_ASSERT(offsetof(struct us_idt_entry, crc) == 60, "descriptor CRC is last");
US_STATIC_ASSERT(sizeof(struct us_record) == US_ENTRY_BYTES, "commit record is 64 bytes");
US_STATIC_ASSERT(offsetof(struct us_record, u) == 32, "record body starts at 32");
US_STATIC_ASSERT(offsetof(struct us_record, crc) == 60, "record CRC is last");

/* What the adapter writes every US_REG_HEARTBEAT_US, in one 64-byte write. */
struct us_heartbeat {
  uint32_t count; /* goes up by one each time */
  uint16_t epoch;
  uint16_t reserved0;
  uint32_t status; /* US_STATUS_ bits */
  uint32_t connections;
  uint32_t idt_tail; /* doorbells as they have arrived: with US_FEATURE_ECHO */
  uint32_t odt_head;
  uint32_t tx_tail[US_TX_QUEUES_MOST]; /* the same of the transmit queues */
  uint8_t reserved[8];
};
US_STATIC_ASSERT(sizeof(struct us_heartbeat) == 64, "heartbeat is 64 bytes");

#ifdef __cplusplus
}
#endif
#endif
