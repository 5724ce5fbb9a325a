#include "host_sw/sockets/sockets.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <queue>
#include <unordered_map>
#include <utility>
#include <vector>

#include "host_sw/driver/driver.h"
#include "host_sw/driver/ring_queue.h"

namespace understudy::host {
namespace {

enum class kind : std::uint8_t { unused, fresh, listening, connecting, stream };

// What a socket has until it is one end of a connection; of that the driver knows it.
struct beginning {
  endpoint local;
  connection_options options;
  int listener = -1;  // listening, as the next two
  unsigned backlog = 0;
  ring_queue<int> accepted;  // descriptors that wait for accept()
};

struct entry {
  kind k = kind::unused;
  bool shown = false;     // the application knows the descriptor
  bool shut = false;      // shutdown() was called
  bool aborted = false;   // abort() was called
  bool ended = false;     // nothing more will happen
  bool eof_told = false;  // ev_eof was notified
  int error = 0;          // pending
  unsigned pending = 0;   // events not yet notified
  conn c = no_conn;
  std::unique_ptr<beginning> first;  // fresh and listening
};

endpoint to_endpoint(const socket_address& a) {
  endpoint e;
  std::memcpy(e.ip, a.ip, sizeof e.ip);
  e.port = a.port;
  return e;
}

socket_address to_address(const endpoint& e) {
  socket_address a;
  std::memcpy(a.ip, e.ip, sizeof a.ip);
  a.port = e.port;
  return a;
}

constexpr std::uint16_t first_ephemeral = 49152;  // RFC 6335 6

}  // namespace

struct sockets::impl final : driver_user {
  explicit impl(driver& dr) : d(dr) { d.set_user(this); }
  ~impl() override {
    d.machine().timer_stop(timer);
    d.set_user(nullptr);
  }

  driver& d;
  notifier tell = nullptr;
  void* tell_context = nullptr;
  std::vector<entry> table;
  std::priority_queue<int, std::vector<int>, std::greater<>> free;  // lowest first, as POSIX wants
  std::unordered_map<int, int> by_listener;
  std::vector<int> noted;  // descriptors with pending events, in order
  std::vector<int> delivering;
  std::vector<conn> overflow;  // accepted beyond the backlog
  bool in_driver = false;      // the driver will call on_batch_end()
  std::uint64_t timer = 0;
  bool timer_runs = false;

  entry* find(int fd) {
    if (fd < 0 || static_cast<std::size_t>(fd) >= table.size()) return nullptr;
    entry& e = table[static_cast<std::size_t>(fd)];
    return e.k == kind::unused ? nullptr : &e;
  }
  entry* find_conn(conn c, int* fd) {
    *fd = d.user_number(c);
    return find(*fd);
  }
  int take() {
    int fd;
    if (free.empty()) {
      fd = static_cast<int>(table.size());
      table.emplace_back();
    } else {
      fd = free.top();
      free.pop();
    }
    return fd;
  }
  void drop(int fd) {
    entry& e = table[static_cast<std::size_t>(fd)];
    if (e.c != no_conn) d.release(e.c);
    e = entry{};
    free.push(fd);
  }
  connection_options options(const entry& e) const {
    return e.c == no_conn ? e.first->options : d.options(e.c);
  }
  void call() { d.machine().spend(work::socket_call, 1); }

  // ---- events
  void note(int fd, unsigned events) {
    entry& e = table[static_cast<std::size_t>(fd)];
    if (!e.pending) noted.push_back(fd);
    e.pending |= events;
    if (in_driver || timer_runs) return;
    timer_runs = true;
    timer = d.machine().timer_start(
        0,
        [](void* p) {
          auto* self = static_cast<impl*>(p);
          self->timer_runs = false;
          self->deliver();
        },
        this);
  }
  void deliver() {
    delivering.swap(noted);
    for (const int fd : delivering) {
      entry& e = table[static_cast<std::size_t>(fd)];
      if (!e.shown && e.k == kind::stream) {
        e.pending = 0;  // accept() looks at what holds then
        continue;
      }
      const unsigned events = std::exchange(e.pending, 0u);
      if (events && tell) tell(tell_context, fd, events);
    }
    delivering.clear();
  }
  void note_eof(int fd, entry& e) {
    if (e.eof_told || !d.at_end(e.c)) return;
    e.eof_told = true;
    note(fd, ev_eof);
  }

  unsigned holds(const entry& e) const {
    if (e.k == kind::listening) return e.first->accepted.empty() ? 0u : static_cast<unsigned>(ev_acceptable);
    if (e.k == kind::fresh) return 0;
    unsigned r = 0;
    if (d.readable(e.c) || d.at_end(e.c)) r |= ev_readable;
    if (d.at_end(e.c)) r |= ev_eof;
    if (e.error) r |= ev_error;
    if (e.k == kind::stream && !e.ended) {
      r |= ev_connected;
      if (!e.shut && d.writable(e.c)) r |= ev_writable;
    }
    if (e.ended) r |= ev_closed;
    return r;
  }

  // ---- from the driver
  void on_accepted(int listener, conn c) override {
    in_driver = true;
    const auto it = by_listener.find(listener);
    beginning* of = it == by_listener.end() ? nullptr : find(it->second)->first.get();
    if (!of || of->accepted.size() >= of->backlog) {
      overflow.push_back(c);
      return;
    }
    const int fd = take();
    entry& e = table[static_cast<std::size_t>(fd)];
    e.k = kind::stream;
    e.c = c;
    d.set_user_number(c, fd);
    of->accepted.push_back(fd);
    note(it->second, ev_acceptable);
  }
  void on_connected(conn c) override {
    in_driver = true;
    int fd;
    if (entry* e = find_conn(c, &fd)) {
      e->k = kind::stream;
      note(fd, ev_connected | ev_writable);
    }
  }
  void on_readable(conn c) override {
    in_driver = true;
    int fd;
    if (entry* e = find_conn(c, &fd)) {
      note(fd, ev_readable);
      note_eof(fd, *e);
    }
  }
  void on_writable(conn c) override {
    in_driver = true;
    int fd;
    if (find_conn(c, &fd)) note(fd, ev_writable);
  }
  void on_end(conn c, int error) override {
    in_driver = true;
    int fd;
    entry* e = find_conn(c, &fd);
    if (!e) return;
    e->ended = true;
    if (error && !e->aborted) {
      e->error = error;
      note(fd, ev_error);
    } else {
      note(fd, ev_closed);
    }
  }
  void on_batch_end() override {
    in_driver = false;
    d.counters().overflowed_accepts += overflow.size();
    for (const conn c : overflow) {
      d.abort(c);
      d.release(c);
    }
    overflow.clear();
    deliver();
  }
};

socket_address ipv4_address(std::uint32_t ip, std::uint16_t port) {
  socket_address a;
  a.ip[10] = a.ip[11] = 0xff;
  for (unsigned i = 0; i < 4; ++i) a.ip[12 + i] = static_cast<std::uint8_t>(ip >> (24 - 8 * i));
  a.port = port;
  return a;
}

sockets::sockets(driver& d) : impl_(std::make_unique<impl>(d)) {}
sockets::~sockets() = default;

void sockets::set_notifier(notifier n, void* context) {
  impl_->tell = n;
  impl_->tell_context = context;
}

int sockets::socket() {
  impl_->call();
  const int fd = impl_->take();
  entry& e = impl_->table[static_cast<std::size_t>(fd)];
  e.k = kind::fresh;
  e.shown = true;
  e.first = std::make_unique<beginning>();
  return fd;
}

int sockets::bind(int fd, const socket_address& local) {
  impl_->call();
  entry* e = impl_->find(fd);
  if (!e) return -EBADF;
  if (e->k != kind::fresh) return -EINVAL;
  e->first->local = to_endpoint(local);
  return 0;
}

int sockets::listen(int fd, unsigned backlog) {
  impl_->call();
  entry* e = impl_->find(fd);
  if (!e) return -EBADF;
  if (e->k != kind::fresh) return -EINVAL;
  beginning& b = *e->first;
  b.backlog = std::max(backlog, 1u);
  int r = -EADDRINUSE;
  if (b.local.port) {
    r = impl_->d.listen(b.local, b.backlog, b.options);
  } else {
    for (std::uint32_t port = first_ephemeral; port <= 0xffff && r == -EADDRINUSE; ++port) {
      b.local.port = static_cast<std::uint16_t>(port);
      r = impl_->d.listen(b.local, b.backlog, b.options);
    }
  }
  if (r < 0) return r;
  e->k = kind::listening;
  b.listener = r;
  impl_->by_listener[r] = fd;
  return 0;
}

int sockets::accept(int fd, socket_address* peer) {
  impl_->call();
  entry* e = impl_->find(fd);
  if (!e) return -EBADF;
  if (e->k != kind::listening) return -EINVAL;
  beginning& b = *e->first;
  if (b.accepted.empty()) return -EAGAIN;
  const int got = b.accepted.front();
  b.accepted.pop_front();
  impl_->d.accepted(b.listener);
  entry& a = impl_->table[static_cast<std::size_t>(got)];
  a.shown = true;
  if (peer) peer_address(got, peer);
  // What came before accept() is notified after it.
  const unsigned now = impl_->holds(a) & (ev_readable | ev_error | ev_closed);
  if (now) impl_->note(got, now);
  if (a.eof_told || impl_->d.at_end(a.c)) {
    a.eof_told = true;
    impl_->note(got, ev_eof);
  }
  return got;
}

int sockets::connect(int fd, const socket_address& peer) {
  impl_->call();
  entry* e = impl_->find(fd);
  if (!e) return -EBADF;
  if (e->k == kind::connecting) return -EALREADY;
  if (e->k != kind::fresh) return -EISCONN;
  const int r = impl_->d.connect(e->first->local, to_endpoint(peer), e->first->options, &e->c);
  if (r < 0) return r;
  e->k = kind::connecting;
  e->first.reset();
  impl_->d.set_user_number(e->c, fd);
  return -EINPROGRESS;
}

std::ptrdiff_t sockets::send(int fd, const void* data, std::size_t bytes) {
  impl_->call();
  entry* e = impl_->find(fd);
  if (!e) return -EBADF;
  if (e->error) return -std::exchange(e->error, 0);
  if (e->k == kind::connecting && !e->ended) return -EAGAIN;
  if (e->k != kind::stream) return -ENOTCONN;
  if (e->shut || e->aborted || e->ended) return -EPIPE;
  if (bytes == 0) return 0;
  const std::ptrdiff_t n = impl_->d.write(e->c, data, bytes);
  return n == 0 ? -EAGAIN : n;
}

std::ptrdiff_t sockets::recv(int fd, void* room, std::size_t bytes) {
  impl_->call();
  entry* e = impl_->find(fd);
  if (!e) return -EBADF;
  if (e->k == kind::fresh || e->k == kind::listening) return -ENOTCONN;
  if (bytes == 0) return 0;
  if (const std::size_t n = impl_->d.read(e->c, room, bytes)) {
    for (driver_observer* o : impl_->d.observers())
      o->on_delivered(fd, impl_->d.id(e->c), {static_cast<const std::uint8_t*>(room), n});
    impl_->note_eof(fd, *e);
    return static_cast<std::ptrdiff_t>(n);
  }
  if (impl_->d.at_end(e->c)) return 0;
  if (e->error) return -std::exchange(e->error, 0);
  return e->ended ? 0 : -EAGAIN;
}

dma_region sockets::allocate(std::size_t bytes, std::uint32_t process) {
  impl_->call();
  return impl_->d.allocate_memory(bytes, process);
}

buffer_status sockets::deallocate(const dma_region& r) {
  impl_->call();
  return impl_->d.free_memory(r);
}

buffer_status sockets::lend(int fd, std::uint8_t* at, std::size_t bytes, std::uint64_t cookie) {
  impl_->call();
  entry* e = impl_->find(fd);
  if (!e || e->k != kind::stream || e->ended) return buffer_status::bad_state;
  return impl_->d.lend(e->c, at, bytes, cookie);
}

bool sockets::received(int fd, received_piece* out) {
  impl_->call();
  entry* e = impl_->find(fd);
  if (!e || e->c == no_conn || !impl_->d.take_received(e->c, out)) return false;
  for (driver_observer* o : impl_->d.observers())
    if (out->bytes) o->on_delivered(fd, impl_->d.id(e->c), {out->data, out->bytes});
  impl_->note_eof(fd, *e);
  return true;
}

buffer_status sockets::send_from(int fd, const std::uint8_t* at, std::size_t bytes, std::uint64_t cookie) {
  impl_->call();
  entry* e = impl_->find(fd);
  if (!e || e->k != kind::stream || e->shut || e->aborted || e->ended) return buffer_status::bad_state;
  return impl_->d.send_from(e->c, at, bytes, cookie);
}

bool sockets::sent(int fd, sent_piece* out) {
  impl_->call();
  entry* e = impl_->find(fd);
  return e && e->c != no_conn && impl_->d.take_sent(e->c, out);
}

void sockets::touch(const std::uint8_t* at, std::size_t bytes, bool write) {
  impl_->d.note_access(at, bytes, write);
}

int sockets::hurry(int fd) {
  impl_->call();
  entry* e = impl_->find(fd);
  if (!e) return -EBADF;
  if (e->k != kind::stream) return -ENOTCONN;
  impl_->d.hurry(e->c);
  return 0;
}

int sockets::shutdown(int fd) {
  impl_->call();
  entry* e = impl_->find(fd);
  if (!e) return -EBADF;
  if (e->k != kind::stream) return -ENOTCONN;
  if (std::exchange(e->shut, true)) return 0;
  return impl_->d.finish(e->c);
}

int sockets::close(int fd) {
  impl_->call();
  entry* e = impl_->find(fd);
  if (!e) return -EBADF;
  if (e->k == kind::listening) {
    const beginning& b = *e->first;
    impl_->d.close_listener(b.listener);
    impl_->by_listener.erase(b.listener);
    for (std::size_t i = 0; i < b.accepted.size(); ++i) {
      impl_->d.abort(impl_->table[static_cast<std::size_t>(b.accepted[i])].c);
      impl_->drop(b.accepted[i]);
    }
  } else if (e->c != no_conn && !e->ended && impl_->d.readable(e->c)) {
    impl_->d.abort(e->c);
  }
  impl_->drop(fd);
  return 0;
}

int sockets::abort(int fd) {
  impl_->call();
  entry* e = impl_->find(fd);
  if (!e) return -EBADF;
  if (e->c == no_conn) return -ENOTCONN;
  e->aborted = true;
  return impl_->d.abort(e->c);
}

int sockets::setsockopt(int fd, socket_option o, int value) {
  impl_->call();
  entry* e = impl_->find(fd);
  if (!e) return -EBADF;
  connection_options options = impl_->options(*e);
  connection_tuning& tuning = options.tuning;
  switch (o) {
    case socket_option::no_delay:
    case socket_option::keepalive:
    case socket_option::keepalive_idle:
      if (o == socket_option::no_delay) tuning.nagle = value == 0;
      if (o == socket_option::keepalive) tuning.keepalive = value != 0;
      if (o == socket_option::keepalive_idle) {
        if (value < 1 || value > 65535) return -EINVAL;
        tuning.keepalive_idle_s = static_cast<std::uint16_t>(value);
      }
      if (e->c != no_conn) return impl_->d.tune(e->c, tuning);
      if (e->k == kind::listening) impl_->d.tune_listener(e->first->listener, tuning);
      options.tuned = true;
      break;
    default:
      if (e->k != kind::fresh) return -EINVAL;
  }
  switch (o) {
    case socket_option::failover:
      options.failover = value != 0;
      break;
    case socket_option::urgent:
      options.urgent = value != 0;
      break;
    case socket_option::speaks_first:
      options.speaks_first = value != 0;
      break;
    case socket_option::direct_receive:
      options.direct_receive = value != 0;
      break;
    case socket_option::expedite:
      options.expedite = value != 0;
      break;
    case socket_option::process:
      options.process = static_cast<std::uint32_t>(value);
      break;
    case socket_option::connection_set:
      if (value < 0 || value > 65535) return -EINVAL;
      options.set = static_cast<std::uint16_t>(value);
      break;
    case socket_option::priority:
    case socket_option::size_class:
      if (value < 0 || value > 15) return -EINVAL;
      (o == socket_option::priority ? options.priority : options.size_class) =
          static_cast<std::uint8_t>(value);
      break;
    case socket_option::commit:
      if (value < US_COMMIT_BEFORE_SYNACK || value > US_COMMIT_LAZY) return -EINVAL;
      options.commit = static_cast<us_commit_policy>(value);
      break;
    case socket_option::receive_buffer:
    case socket_option::send_buffer:
      if (value <= 0) return -EINVAL;
      (o == socket_option::receive_buffer ? options.receive_buffer : options.send_buffer) =
          static_cast<std::uint32_t>(value);
      break;
    case socket_option::no_delay:
    case socket_option::keepalive:
    case socket_option::keepalive_idle:
      break;
    case socket_option::error:
      return -EINVAL;
  }
  e->first->options = options;
  return 0;
}

int sockets::getsockopt(int fd, socket_option o, int* value) {
  impl_->call();
  entry* e = impl_->find(fd);
  if (!e) return -EBADF;
  const connection_options options = impl_->options(*e);
  const auto size = [](std::uint32_t own, std::uint32_t common) {
    return static_cast<int>(own ? own : common);
  };
  switch (o) {
    case socket_option::failover:
      *value = options.failover;
      break;
    case socket_option::receive_buffer:
      *value = size(options.receive_buffer, impl_->d.config().receive_buffer);
      break;
    case socket_option::send_buffer:
      *value = size(options.send_buffer, impl_->d.config().send_buffer);
      break;
    case socket_option::no_delay:
      *value = !options.tuning.nagle;
      break;
    case socket_option::keepalive:
      *value = options.tuning.keepalive;
      break;
    case socket_option::keepalive_idle:
      *value = options.tuning.keepalive_idle_s;
      break;
    case socket_option::urgent:
      *value = options.urgent;
      break;
    case socket_option::speaks_first:
      *value = options.speaks_first;
      break;
    case socket_option::commit:
      *value = options.commit.value_or(impl_->d.config().commit);
      break;
    case socket_option::direct_receive:
      *value = options.direct_receive;
      break;
    case socket_option::expedite:
      *value = options.expedite;
      break;
    case socket_option::process:
      *value = static_cast<int>(options.process);
      break;
    case socket_option::connection_set:
      *value = options.set;
      break;
    case socket_option::priority:
      *value = options.priority;
      break;
    case socket_option::size_class:
      *value = options.size_class;
      break;
    case socket_option::error:
      *value = std::exchange(e->error, 0);
      break;
  }
  return 0;
}

unsigned sockets::poll(int fd) const {
  const entry* e = impl_->find(fd);
  return e ? impl_->holds(*e) : 0;
}

int sockets::peer_address(int fd, socket_address* out) const {
  const entry* e = impl_->find(fd);
  if (!e) return -EBADF;
  if (e->c == no_conn) return -ENOTCONN;
  *out = to_address(impl_->d.peer(e->c));
  return 0;
}

int sockets::local_address(int fd, socket_address* out) const {
  const entry* e = impl_->find(fd);
  if (!e) return -EBADF;
  *out = to_address(e->c == no_conn ? e->first->local : impl_->d.local(e->c));
  return 0;
}

}  // namespace understudy::host
