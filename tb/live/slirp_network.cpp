#include "tb/live/slirp_network.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <slirp/libslirp.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "tb/scenario/scenario.h"

namespace understudy::tb {

namespace {

constexpr wall_nanos nanos_a_millisecond = 1'000'000;

in_addr network_order(std::uint32_t value) {
  return {htonl(value)};
}

in6_addr network_order(const ip_address& ip) {
  in6_addr a;
  std::copy(ip.bytes.begin(), ip.bytes.end(), a.s6_addr);
  return a;
}

std::string written(const ip_address& ip) {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(ip.is_v4() ? AF_INET : AF_INET6, ip.bytes.data() + (ip.is_v4() ? 12 : 0), text,
                   sizeof text);
}

// The first address of the network that its host does not have.
ip_address gateway_of(const station_address& host) {
  const unsigned fixed = host.prefix + (host.ip.is_v4() ? 96 : 0);
  ip_address a = host.ip;
  for (unsigned bit = fixed; bit < 128; ++bit)
    a.bytes[bit / 8] = static_cast<std::uint8_t>(a.bytes[bit / 8] & ~(0x80u >> bit % 8));
  a.bytes[15] |= 1;
  if (a == host.ip) a.bytes[15] ^= 3;
  return a;
}

// An address of a socket API, of either family.
struct any_sockaddr {
  sockaddr_storage storage = {};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};
any_sockaddr socket_address(const ip_address& ip, std::uint16_t port) {
  any_sockaddr s;
  if (ip.is_v4()) {
    const sockaddr_in a = {AF_INET, htons(port), network_order(ip.v4_value()), {}};
    std::memcpy(&s.storage, &a, s.size = sizeof a);
  } else {
    const sockaddr_in6 a = {AF_INET6, htons(port), 0, network_order(ip), 0};
    std::memcpy(&s.storage, &a, s.size = sizeof a);
  }
  return s;
}

// An IPv4 address, or an IPv6 address in brackets.
std::optional<ip_address> address_of(std::string text) {
  ip_address ip;
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
    if (inet_pton(AF_INET6, text.c_str(), ip.bytes.data()) != 1 || ip.is_v4()) return std::nullopt;
    return ip;
  }
  in_addr a;
  if (inet_pton(AF_INET, text.c_str(), &a) != 1) return std::nullopt;
  return ip_address::v4(ntohl(a.s_addr));
}

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// libslirp asks for timers only to advertise IPv6 routers, which the adapter does not need: it has its
// addresses from the scenario.
struct timer {
  SlirpTimerCb call;
  void* context;
};

}  // namespace

host_forward parse_host_forward(const std::string& text) {
  const auto fail = [&text]() {
    return scenario_error(
        fmt::format("--hostfwd: \"{}\" is none, allowed: [tcp:][HOSTADDR]:PORT-:GUESTPORT such as "
                    "127.0.0.1:8080-:8080 or "
                    "[::1]:8080-:8080",
                    text));
  };
  std::string_view rest = text;
  constexpr std::string_view protocol = "tcp:";
  if (rest.substr(0, protocol.size()) == protocol) rest.remove_prefix(protocol.size());
  const auto dash = rest.find("-:");
  const auto colon = rest.substr(0, dash).rfind(':');
  if (colon == rest.npos || dash == rest.npos) throw fail();
  host_forward f;
  if (colon > 0) f.host = rest.substr(0, colon);
  const auto a = address_of(f.host);
  const auto port = port_of(rest.substr(colon + 1, dash - colon - 1));
  const auto guest = port_of(rest.substr(dash + 2));
  if (!a || !port || !guest) throw fail();
  f.address = *a;
  f.port = *port;
  f.guest_port = *guest;
  return f;
}

// What libslirp calls, with the network as its opaque pointer.
struct slirp_network::callbacks {
  static ssize_t send_packet(const void* data, size_t bytes, void* self) {
    auto& n = *static_cast<slirp_network*>(self);
    if (frame_ref f = n.taken_in(data, bytes)) n.waiting_.push_back(std::move(f));
    return static_cast<ssize_t>(bytes);
  }
  static void guest_error(const char*, void*) {}  // the adapter's frames are judged by the monitors
  static int64_t clock_get_ns(void*) {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
  }
  static void* timer_new(SlirpTimerCb call, void* context, void*) { return new timer{call, context}; }
  static void timer_free(void* t, void*) { delete static_cast<timer*>(t); }
  static void timer_mod(void*, int64_t, void*) {}
  static void poll_fd(int, void*) {}
  static void notify(void*) {}
  static int add_poll(int fd, int events, void* self) {
    auto& n = *static_cast<slirp_network*>(self);
    short wanted = 0;
    if (events & SLIRP_POLL_IN) wanted |= POLLIN;
    if (events & SLIRP_POLL_OUT) wanted |= POLLOUT;
    if (events & SLIRP_POLL_PRI) wanted |= POLLPRI;
    n.polled_.push_back({fd, wanted, 0});
    return static_cast<int>(n.polled_.size()) - 1;
  }
  static int get_revents(int index, void* self) {
    const short got = static_cast<slirp_network*>(self)->polled_[static_cast<std::size_t>(index)].revents;
    int events = 0;
    if (got & POLLIN) events |= SLIRP_POLL_IN;
    if (got & POLLOUT) events |= SLIRP_POLL_OUT;
    if (got & POLLPRI) events |= SLIRP_POLL_PRI;
    if (got & POLLERR) events |= SLIRP_POLL_ERR;
    if (got & POLLHUP) events |= SLIRP_POLL_HUP;
    return events;
  }
};

slirp_network::slirp_network(const outside_world& world, const std::vector<host_forward>& forwards) {
  static constexpr SlirpCb calls = [] {
    SlirpCb c = {};
    c.send_packet = callbacks::send_packet;
    c.guest_error = callbacks::guest_error;
    c.clock_get_ns = callbacks::clock_get_ns;
    c.timer_new = callbacks::timer_new;
    c.timer_free = callbacks::timer_free;
    c.timer_mod = callbacks::timer_mod;
    c.register_poll_fd = callbacks::poll_fd;
    c.unregister_poll_fd = callbacks::poll_fd;
    c.notify = callbacks::notify;
    return c;
  }();
  const station_address& host = world.host.front();
  const ip_address gateway = gateway_of(host);
  const std::uint32_t mask = ~0u << (32 - host.prefix);
  SlirpConfig c = {};
  c.version = SLIRP_CONFIG_VERSION_MAX;
  c.in_enabled = true;
  c.vnetwork = network_order(host.ip.v4_value() & mask);
  c.vnetmask = network_order(mask);
  c.vhost = network_order(gateway.v4_value());
  c.vnameserver = c.vhost;
  c.disable_dns = true;
  c.disable_dhcp = true;
  std::string here = written(gateway);
  const station_address* host6 = world.host.size() > 1 ? &world.host[1] : nullptr;
  if (host6) {
    const ip_address gateway6 = gateway_of(*host6);
    ip_address prefix = gateway6;  // libslirp compares the bits of its length
    prefix.bytes[15] = 0;
    c.in6_enabled = true;
    c.vprefix_addr6 = network_order(prefix);
    c.vprefix_len = static_cast<std::uint8_t>(host6->prefix);
    c.vhost6 = network_order(gateway6);
    c.vnameserver6 = c.vhost6;
    here += " and " + written(gateway6);
  }
  slirp_ = slirp_new(&c, &calls, this);
  if (!slirp_) throw scenario_error("--slirp: libslirp does not start");
  description_ = fmt::format("slirp {}, this machine is {}", slirp_version_string(), here);
  try {
    for (const host_forward& f : forwards) forward(f, f.address.is_v4() ? &host : host6);
  } catch (...) {
    slirp_cleanup(slirp_);
    throw;
  }
  widen_backlogs();
}

// libslirp's connections keep the family of the socket that they came by.
void slirp_network::forward(const host_forward& f, const station_address* guest) {
  const auto refused = [&f](const char* why, const char* allowed) {
    return scenario_error(fmt::format("--hostfwd: {}:{}: {}, allowed: {}", f.host, f.port, why, allowed));
  };
  if (!guest) throw refused("the adapter has no IPv6 address", "an IPv4 address, or live.address6");
  const any_sockaddr here = socket_address(f.address, f.port);
  const any_sockaddr there = socket_address(guest->ip, f.guest_port);
  errno = 0;
  if (slirp_add_hostxfwd(slirp_, here.get(), here.size, there.get(), there.size,
                         f.address.is_v4() ? 0 : SLIRP_HOSTFWD_V6ONLY) != 0)
    throw refused(std::strerror(errno), "an address of this machine and a free port");
  const std::string to = written(guest->ip);
  description_ +=
      fmt::format(", {}:{} -> {}:{}", f.host, f.port, guest->ip.is_v4() ? to : "[" + to + "]", f.guest_port);
}

// libslirp listens with a backlog of 1, so that connections that come together wait for retransmitted SYNs;
// listening again changes the backlog and nothing else.
void slirp_network::widen_backlogs() {
  wall_nanos none = 0;
  std::vector<pollfd> all;
  before_wait(all, none);
  for (const pollfd& p : all) {
    int listens = 0;
    socklen_t size = sizeof listens;
    if (getsockopt(p.fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens) listen(p.fd, SOMAXCONN);
  }
}

slirp_network::~slirp_network() {
  slirp_cleanup(slirp_);
}

void slirp_network::before_wait(std::vector<pollfd>& all, wall_nanos& longest) {
  polled_.clear();
  const auto offered = static_cast<std::uint32_t>(longest / nanos_a_millisecond + 1);
  std::uint32_t timeout = offered;
  slirp_pollfds_fill(slirp_, &timeout, callbacks::add_poll, this);
  if (timeout < offered) longest = std::min(longest, static_cast<wall_nanos>(timeout) * nanos_a_millisecond);
  if (next_ < waiting_.size()) longest = 0;
  all.insert(all.end(), polled_.begin(), polled_.end());
}

void slirp_network::after_wait(std::span<const pollfd> mine) {
  polled_.assign(mine.begin(), mine.end());
  slirp_pollfds_poll(slirp_, 0, callbacks::get_revents, this);
}

far_end::arrival slirp_network::read(picos) {
  if (next_ == waiting_.size()) {
    waiting_.clear();
    next_ = 0;
    return {};
  }
  return {std::move(waiting_[next_++])};
}

void slirp_network::write(const frame_ref& f) {
  slirp_input(slirp_, f.data(), static_cast<int>(f.size()));
  sent_out(f);
}

std::string slirp_network::describe() const {
  return description_;
}

}  // namespace understudy::tb
