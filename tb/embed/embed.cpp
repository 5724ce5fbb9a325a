// The C interface: arguments are judged here; errors become a number and a line of text.
#include "understudy/embed.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <systemc>
#include <thread>
#include <utility>
#include <vector>

#include "tb/embed/embedded_platform.h"
#include "tb/platform/configure.h"
#include "tb/scenario/load.h"

namespace tb = understudy::tb;
namespace host = understudy::host;
using understudy::picos;

struct understudy_platform {
  explicit understudy_platform(tb::scenario s) : model(std::move(s)) {}
  tb::embedded_platform model;
  std::thread::id thread = std::this_thread::get_id();
  bool failed = false;
  std::string violation;
};

namespace {

constexpr unsigned v4_prefix = 96;  // of 128 bits, before those of the IPv4 address

understudy_platform* living = nullptr;  // not destroyed with the process: SystemC may be gone by then
bool used = false;                      // this process has elaborated, or tried to
int last_error = 0;
char last_message[512] = "";

// A call that does not succeed. The text need not outlive it.
struct failure {
  int error;
  std::string text;
};

int fail(int error, const char* text) noexcept {
  std::strncpy(last_message, text, sizeof last_message - 1);
  std::replace(last_message, last_message + std::strlen(last_message), '\n', ' ');
  errno = last_error = error;
  return -1;
}

void wants(bool holds, const char* text) {
  if (!holds) throw failure{EINVAL, text};
}

// Whatever `call` throws as a number and a line; its result else. -1 means failure.
template <typename Call>
auto guarded(Call call) noexcept -> decltype(call()) {
  try {
    return call();
  } catch (const failure& f) {
    return fail(f.error, f.text.c_str());
  } catch (const tb::scenario_error& e) {
    return fail(EINVAL, e.what());
  } catch (const std::bad_alloc&) {
    return fail(ENOMEM, "out of memory");
  } catch (const sc_core::sc_report& r) {
    return fail(EIO, r.get_msg());
  } catch (const std::exception& e) {
    return fail(EIO, e.what());
  } catch (...) {
    return fail(EIO, "the model failed");
  }
}

// `call` with the platform behind `u`.
template <typename Call>
auto with(understudy_platform* u, Call call) noexcept {
  return guarded([&]() -> decltype(call(u->model)) {
    wants(u && u == living, "the handle is not that of the living platform");
    wants(std::this_thread::get_id() == u->thread, "the platform belongs to another thread");
    if (u->failed) throw failure{EIO, "the model failed before"};
    try {
      return call(u->model);
    } catch (const failure&) {
      throw;
    } catch (...) {
      u->failed = true;
      throw;
    }
  });
}

// A result of the sockets layer: negative is -errno.
template <typename Number>
Number posix(Number result) {
  return result >= 0 ? result : fail(static_cast<int>(-result), std::strerror(static_cast<int>(-result)));
}

// A call of the sockets layer on the host's CPU, which throws nothing.
template <typename Call>
auto run(tb::embedded_platform& m, Call call) {
  return posix(m.on_cpu([&] { return call(m.sockets()); }));
}
template <typename Call>
auto on_socket(understudy_platform* u, Call call) noexcept {
  return with(u, [&](tb::embedded_platform& m) { return run(m, call); });
}

host::socket_address to_socket(const understudy_address* a) {
  wants(a, "address: is NULL");
  host::socket_address s;
  std::memcpy(s.ip, a->ip, sizeof s.ip);
  s.port = a->port;
  return s;
}

void to_caller(const host::socket_address& s, understudy_address* a) {
  std::memcpy(a->ip, s.ip, sizeof a->ip);
  a->port = s.port;
}

picos instant(int64_t t) {
  wants(t >= 0 && static_cast<picos>(t) >= understudy::now_ps(), "time: is past");
  wants(t <= UNDERSTUDY_LAST, "time: is beyond UNDERSTUDY_LAST");
  return static_cast<picos>(t);
}

host::socket_option option_of(int option) {
  wants(option >= 0 && option <= UNDERSTUDY_SO_SPEAKS_FIRST, "option: unknown, allowed: UNDERSTUDY_SO_...");
  return static_cast<host::socket_option>(option);
}

static_assert(UNDERSTUDY_SO_FAILOVER == static_cast<int>(host::socket_option::failover));
static_assert(UNDERSTUDY_SO_RCVBUF == static_cast<int>(host::socket_option::receive_buffer));
static_assert(UNDERSTUDY_SO_SNDBUF == static_cast<int>(host::socket_option::send_buffer));
static_assert(UNDERSTUDY_SO_NODELAY == static_cast<int>(host::socket_option::no_delay));
static_assert(UNDERSTUDY_SO_KEEPALIVE == static_cast<int>(host::socket_option::keepalive));
static_assert(UNDERSTUDY_SO_KEEPALIVE_IDLE == static_cast<int>(host::socket_option::keepalive_idle));
static_assert(UNDERSTUDY_SO_ERROR == static_cast<int>(host::socket_option::error));
static_assert(UNDERSTUDY_SO_COMMIT == static_cast<int>(host::socket_option::commit));
static_assert(UNDERSTUDY_SO_URGENT == static_cast<int>(host::socket_option::urgent));
static_assert(UNDERSTUDY_SO_SPEAKS_FIRST == static_cast<int>(host::socket_option::speaks_first));
static_assert(UNDERSTUDY_COMMIT_BEFORE_SYNACK == US_COMMIT_BEFORE_SYNACK &&
              UNDERSTUDY_COMMIT_BEFORE_DATA_ACK == US_COMMIT_BEFORE_DATA_ACK &&
              UNDERSTUDY_COMMIT_LAZY == US_COMMIT_LAZY);
static_assert(UNDERSTUDY_READABLE == host::ev_readable && UNDERSTUDY_WRITABLE == host::ev_writable &&
              UNDERSTUDY_ACCEPTABLE == host::ev_acceptable && UNDERSTUDY_CONNECTED == host::ev_connected &&
              UNDERSTUDY_EOF == host::ev_eof && UNDERSTUDY_ERROR == host::ev_error &&
              UNDERSTUDY_CLOSED == host::ev_closed);
static_assert(UNDERSTUDY_FRAME_MAX == understudy::frame_ref::max_bytes);

int station(const understudy::mac_address& mac, const understudy::ip_address& ip, unsigned prefix,
            understudy_station* out) {
  wants(out, "out: is NULL");
  std::copy(mac.begin(), mac.end(), out->mac);
  std::copy(ip.bytes.begin(), ip.bytes.end(), out->ip);
  out->prefix = static_cast<std::uint8_t>(ip.is_v4() ? v4_prefix + prefix : prefix);
  return 0;
}

// The first violation of the first monitor that has seen one.
const tb::monitor_result* first_violated(const std::vector<tb::monitor_result>& all) {
  const auto it = std::find_if(all.begin(), all.end(), [](const auto& m) { return m.violations > 0; });
  return it == all.end() ? nullptr : &*it;
}

}  // namespace

// libsystemc wants one; a program that has its own keeps it.
extern "C" __attribute__((weak, visibility("default"))) int sc_main(int, char**) {
  return 0;
}

int understudy_embed_abi(void) {
  return UNDERSTUDY_EMBED_ABI;
}
int understudy_errno(void) {
  return last_error;
}
const char* understudy_message(void) {
  return last_message;
}

understudy_platform* understudy_create(const char* scenario, const char* const* overrides, size_t count) {
  const int made = guarded([&] {
    if (used)
      throw failure{EBUSY, "this process has, or had, a platform: SystemC elaborates once in a process"};
    wants(count == 0 || overrides, "overrides: is NULL");
    std::vector<std::string> sets;
    for (std::size_t i = 0; i < count; ++i) {
      wants(overrides[i], "overrides: one is NULL");
      sets.emplace_back(overrides[i]);
    }
    tb::scenario s = tb::load_scenario(scenario ? scenario : "", sets, tb::checks_of_parts());
    tb::check_embedded(s);
    used = true;
    setenv("SC_COPYRIGHT_MESSAGE", "DISABLE", 0);
    // What SystemC calls fatal ends the call, not the process.
    sc_core::sc_report_handler::set_actions(sc_core::SC_FATAL, sc_core::SC_CACHE_REPORT | sc_core::SC_THROW);
    auto u = std::make_unique<understudy_platform>(std::move(s));
    u->model.start();
    living = u.release();
    return 0;
  });
  return made == 0 ? living : nullptr;
}

int understudy_destroy(understudy_platform* u) {
  return guarded([u] {
    if (!u) return 0;
    wants(u == living, "the handle is not that of the living platform");
    wants(std::this_thread::get_id() == u->thread, "the platform belongs to another thread");
    delete std::exchange(living, nullptr);
    return 0;
  });
}

// ---------------------------------------------------------------- time

int64_t understudy_now(understudy_platform* u) {
  return with(u, [](tb::embedded_platform&) { return static_cast<int64_t>(understudy::now_ps()); });
}

int understudy_advance(understudy_platform* u, int64_t until) {
  return with(u, [until](tb::embedded_platform& m) {
    m.advance(instant(until));
    return 0;
  });
}

int understudy_step(understudy_platform* u) {
  return with(u, [](tb::embedded_platform& m) { return m.step() ? 1 : 0; });
}

int understudy_wait(understudy_platform* u, int64_t until, int what) {
  return with(u, [until, what](tb::embedded_platform& m) {
    wants(what > 0 && what <= (UNDERSTUDY_WAKE_FRAME | UNDERSTUDY_WAKE_SOCKET),
          "what: allowed: UNDERSTUDY_WAKE_FRAME, UNDERSTUDY_WAKE_SOCKET, or both");
    const picos end = instant(until);
    const auto happened = [&] {
      const int all =
          (m.emitted().empty() ? 0 : UNDERSTUDY_WAKE_FRAME) | (m.socket_news() ? UNDERSTUDY_WAKE_SOCKET : 0);
      return all & what;
    };
    m.advance_until(end, [&] { return happened() != 0; });
    const int result = happened();
    if (result & UNDERSTUDY_WAKE_SOCKET) m.take_socket_news();
    return result;
  });
}

// ---------------------------------------------------------------- frames

int understudy_put_frame(understudy_platform* u, int64_t at, const void* frame, size_t bytes) {
  return with(u, [=](tb::embedded_platform& m) {
    wants(frame, "frame: is NULL");
    wants(bytes >= UNDERSTUDY_FRAME_MIN && bytes <= UNDERSTUDY_FRAME_MAX, "frame: allowed: 14 to 9600 bytes");
    const picos t = instant(at);
    m.put_frame(understudy::frame_ref::copy_of(frame, static_cast<std::uint32_t>(bytes)), t);
    return 0;
  });
}

ptrdiff_t understudy_take_frame(understudy_platform* u, void* room, size_t bytes, understudy_frame* info) {
  return with(u, [=](tb::embedded_platform& m) {
    wants(room || bytes == 0, "room: is NULL");
    if (m.emitted().empty()) throw failure{EAGAIN, "no frame waits"};
    const tb::emitted_frame e = m.emitted().front();
    if (info) *info = {static_cast<int64_t>(e.at), e.f.size(), e.adapter, e.missed};
    if (e.f.size() > bytes) throw failure{EMSGSIZE, "the frame is longer than the room for it"};
    std::memcpy(room, e.f.data(), e.f.size());
    m.emitted().pop();
    return static_cast<ptrdiff_t>(e.f.size());
  });
}

// ---------------------------------------------------------------- sockets

int understudy_socket(understudy_platform* u) {
  return on_socket(u, [](host::sockets& s) { return s.socket(); });
}

int understudy_bind(understudy_platform* u, int fd, const understudy_address* local) {
  return with(u, [=](tb::embedded_platform& m) {
    const host::socket_address a = to_socket(local);
    return run(m, [&](host::sockets& s) { return s.bind(fd, a); });
  });
}

int understudy_listen(understudy_platform* u, int fd, int backlog) {
  return with(u, [=](tb::embedded_platform& m) {
    wants(backlog >= 1 && backlog <= 65535, "backlog: allowed: 1 to 65535");
    return run(m, [=](host::sockets& s) { return s.listen(fd, static_cast<unsigned>(backlog)); });
  });
}

int understudy_accept(understudy_platform* u, int fd, understudy_address* peer) {
  host::socket_address from;
  const int got = on_socket(u, [&](host::sockets& s) { return s.accept(fd, &from); });
  if (got >= 0 && peer) to_caller(from, peer);
  return got;
}

int understudy_connect(understudy_platform* u, int fd, const understudy_address* peer) {
  return with(u, [=](tb::embedded_platform& m) {
    const host::socket_address a = to_socket(peer);
    return run(m, [&](host::sockets& s) { return s.connect(fd, a); });
  });
}

ptrdiff_t understudy_read(understudy_platform* u, int fd, void* room, size_t bytes) {
  return with(u, [=](tb::embedded_platform& m) {
    wants(room || bytes == 0, "room: is NULL");
    return run(m, [=](host::sockets& s) { return s.recv(fd, room, bytes); });
  });
}

ptrdiff_t understudy_write(understudy_platform* u, int fd, const void* data, size_t bytes) {
  return with(u, [=](tb::embedded_platform& m) {
    wants(data || bytes == 0, "data: is NULL");
    return run(m, [=](host::sockets& s) { return s.send(fd, data, bytes); });
  });
}

int understudy_shutdown(understudy_platform* u, int fd, int how) {
  return with(u, [=](tb::embedded_platform& m) {
    wants(how >= UNDERSTUDY_SHUT_RD && how <= UNDERSTUDY_SHUT_RDWR, "how: allowed: UNDERSTUDY_SHUT_WR");
    if (how != UNDERSTUDY_SHUT_WR) return posix(-EOPNOTSUPP);
    return run(m, [=](host::sockets& s) { return s.shutdown(fd); });
  });
}

int understudy_close(understudy_platform* u, int fd) {
  return on_socket(u, [=](host::sockets& s) { return s.close(fd); });
}

int understudy_abort(understudy_platform* u, int fd) {
  return on_socket(u, [=](host::sockets& s) { return s.abort(fd); });
}

int understudy_setsockopt(understudy_platform* u, int fd, int option, int value) {
  return with(u, [=](tb::embedded_platform& m) {
    const host::socket_option o = option_of(option);
    return run(m, [=](host::sockets& s) { return s.setsockopt(fd, o, value); });
  });
}

int understudy_getsockopt(understudy_platform* u, int fd, int option, int* value) {
  return with(u, [=](tb::embedded_platform& m) {
    const host::socket_option o = option_of(option);
    wants(value, "value: is NULL");
    return run(m, [=](host::sockets& s) { return s.getsockopt(fd, o, value); });
  });
}

int understudy_poll(understudy_platform* u, int fd) {
  return with(u, [fd](tb::embedded_platform& m) {
    host::socket_address any;
    if (posix(m.sockets().local_address(fd, &any)) < 0) return -1;
    return static_cast<int>(m.sockets().poll(fd));
  });
}

int understudy_getpeername(understudy_platform* u, int fd, understudy_address* out) {
  return with(u, [=](tb::embedded_platform& m) {
    wants(out, "out: is NULL");
    host::socket_address a;
    if (posix(m.sockets().peer_address(fd, &a)) < 0) return -1;
    to_caller(a, out);
    return 0;
  });
}

int understudy_getsockname(understudy_platform* u, int fd, understudy_address* out) {
  return with(u, [=](tb::embedded_platform& m) {
    wants(out, "out: is NULL");
    host::socket_address a;
    if (posix(m.sockets().local_address(fd, &a)) < 0) return -1;
    to_caller(a, out);
    return 0;
  });
}

// ---------------------------------------------------------------- who is there

int understudy_host(understudy_platform* u, understudy_station* out) {
  return with(u, [out](tb::embedded_platform& m) {
    const tb::station_address& a = m.outside().host.front();
    return station(tb::host_mac, a.ip, a.prefix, out);
  });
}

int understudy_host6(understudy_platform* u, understudy_station* out) {
  return with(u, [out](tb::embedded_platform& m) {
    if (m.outside().host.size() < 2) throw failure{ENOENT, "the host has no IPv6 address: see live.address6"};
    const tb::station_address& a = m.outside().host[1];
    return station(tb::host_mac, a.ip, a.prefix, out);
  });
}

int understudy_peer(understudy_platform* u, understudy_station* out) {
  return with(u, [out](tb::embedded_platform& m) {
    const tb::platform& p = m.parts();
    if (!p.lwip && !p.responder) throw failure{ENOENT, "there is no peer: see embed.peer"};
    return station(p.lwip ? tb::lwip_mac : tb::responder_mac, m.outside().peer,
                   m.outside().host.front().prefix, out);
  });
}

int understudy_active(understudy_platform* u) {
  return with(u, [](tb::embedded_platform& m) {
    const unsigned a = m.driver().active_adapter();
    if (a != host::any_driver::no_adapter) return static_cast<int>(a);
    if (m.driver().condition() != host::driver_error::none) throw failure{ENODEV, "no adapter is left"};
    throw failure{EAGAIN, "a substitute is taking over"};
  });
}

int understudy_kill(understudy_platform* u, int adapter) {
  return with(u, [adapter](tb::embedded_platform& m) {
    const unsigned which = adapter == -1 ? m.driver().active_adapter() : static_cast<unsigned>(adapter);
    if (adapter < -1 || !m.kill(which)) throw failure{ENODEV, "no such adapter, or it is dead"};
    return static_cast<int>(which);
  });
}

// ---------------------------------------------------------------- judgement

int64_t understudy_violations(understudy_platform* u) {
  return with(u, [](tb::embedded_platform& m) {
    int64_t n = 0;
    if (m.monitors())
      for (const tb::monitor_result& r : m.monitors()->results()) n += static_cast<int64_t>(r.violations);
    return n;
  });
}

const char* understudy_violation(understudy_platform* u) {
  const int found = with(u, [u](tb::embedded_platform& m) {
    u->violation.clear();
    if (!m.monitors()) return 0;
    const auto all = m.monitors()->results();
    if (const tb::monitor_result* r = first_violated(all)) u->violation = r->id + ": " + r->first;
    return 0;
  });
  return found == 0 ? u->violation.c_str() : "";
}

uint64_t understudy_hash(understudy_platform* u) {
  uint64_t hash = 0;
  with(u, [&hash](tb::embedded_platform& m) {
    hash = m.log().hash();
    return 0;
  });
  return hash;
}
