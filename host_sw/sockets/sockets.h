// Non-blocking sockets over the offload. Every function returns a non-negative value or -errno.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "host_sw/driver/app_memory.h"
#include "host_sw/driver/direct_memory.h"
#include "host_sw/hal/hal.h"

namespace understudy::host {

class driver;

// 16 bytes in network order; IPv4 as ::ffff:a.b.c.d.
struct socket_address {
  std::uint8_t ip[16] = {};
  std::uint16_t port = 0;
};
socket_address ipv4_address(std::uint32_t host_order_ip, std::uint16_t port);

// Events of a socket, as a bit mask.
enum : unsigned {
  ev_readable = 1,
  ev_writable = 2,
  ev_acceptable = 4,
  ev_connected = 8,
  ev_eof = 16,
  ev_error = 32,
  ev_closed = 64
};

enum class socket_option : std::uint8_t {
  failover,  // 1 (default): protected, survives the adapter (US7114096 claim 2); before listen() or connect()
  receive_buffer,  // bytes granted to the peer, before listen() or connect()
  send_buffer,     // bytes kept for retransmission by a substitute
  no_delay,        // 1: small segments do not wait for ACKs (Nagle off); at any time
  keepalive,       // 1: a silent peer is probed; at any time
  keepalive_idle,  // seconds of silence before the first probe, 1 to 65535; at any time
  error,           // read only: pending errno, cleared by reading
  commit,          // enum us_commit_policy of a protected listener; before listen()
  urgent,          // 1: the adapter announces its connections at once; before listen() or connect()
  speaks_first,    // 1: the server of this listener speaks first; before listen()
  direct_receive,  // 1: the application will lend buffers; data waits for one; before listen() or connect()
  expedite,        // 1: what comes is never held back by the adapter; before listen() or connect()
  process,  // whose memory it may lend, and an attribute of buffer groups; before listen() or connect()
  connection_set,  // 0 to 65535, an attribute of buffer groups; before listen() or connect()
  priority,        // 0 to 15, the same
  size_class,      // 0 to 15, the same
};

class sockets {
 public:
  // Told of new events of socket `fd`; must not call back into sockets from inside except for reading poll().
  // Usually it notes the fd and works later.
  using notifier = void (*)(void* context, int fd, unsigned events);

  explicit sockets(driver& d);
  ~sockets();
  void set_notifier(notifier n, void* context);

  int socket();
  int bind(int fd, const socket_address& local);  // port 0: any
  int listen(int fd, unsigned backlog);
  int accept(int fd, socket_address* peer);         // -EAGAIN: none waits
  int connect(int fd, const socket_address& peer);  // -EINPROGRESS; ev_connected or ev_error follows
  std::ptrdiff_t send(int fd, const void* data, std::size_t bytes);  // -EAGAIN: no room
  std::ptrdiff_t recv(int fd, void* room, std::size_t bytes);  // 0: end of stream; -EAGAIN: nothing waits

  // ---- zero copy: bytes are sent from, and come into, memory of the application
  // DMA memory for a process; cpu is null if there is none. It goes back when no part of it is lent.
  dma_region allocate(std::size_t bytes, std::uint32_t process = 0);
  buffer_status deallocate(const dma_region& r);
  // Received bytes go to [at, at + bytes), behind buffers lent before: 64-byte aligned. The buffer comes back
  // by received(), with or without bytes.
  buffer_status lend(int fd, std::uint8_t* at, std::size_t bytes, std::uint64_t cookie);
  // What comes next in the stream, if it lies in a lent buffer: true. Else recv() has it (what came before a
  // buffer was lent or while none was: copied), or nothing has come.
  bool received(int fd, received_piece* out);
  // Send without a copy. The bytes must not change before sent() has told of them.
  buffer_status send_from(int fd, const std::uint8_t* at, std::size_t bytes, std::uint64_t cookie);
  // Acknowledged by the peer since the last call, range by range; a prefix may come before the rest.
  bool sent(int fd, sent_piece* out);
  // The application is about to read or write its memory: for whoever watches (driver_observer).
  void touch(const std::uint8_t* at, std::size_t bytes, bool write);
  // What the adapter holds back of this connection is handed over now.
  int hurry(int fd);

  int shutdown(int fd);  // write side: FIN after what was sent
  int close(int fd);     // orderly; with unread data RST (RFC 1122 4.2.2.13)
  int abort(int fd);     // RST
  int setsockopt(int fd, socket_option o, int value);
  int getsockopt(int fd, socket_option o, int* value);
  unsigned poll(int fd) const;  // events that hold now
  int peer_address(int fd, socket_address* out) const;
  // As bound, chosen or connected; all zero: not known yet.
  int local_address(int fd, socket_address* out) const;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace understudy::host
