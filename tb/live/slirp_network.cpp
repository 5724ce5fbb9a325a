#include "tb/live/slirp_network.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <slirp/libslirp.h>
#include <sys/socket.h>
#include <time.h>

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

std::string dotted(std::uint32_t value) {
  char text[INET_ADDRSTRLEN];
  const in_addr a = network_order(value);
  return inet_ntop(AF_INET, &a, text, sizeof text);
}

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// libslirp asks for timers only to advertise IPv6 routers.
struct timer {
  SlirpTimerCb call;
  void* context;
};

}  // namespace

host_forward parse_host_forward(const std::string& text) {
  const auto fail = [&text]() {
    return scenario_error(fmt::format(
        "--hostfwd: \"{}\" is none, allowed: [tcp:][HOSTADDR]:PORT-:GUESTPORT such as 127.0.0.1:8080-:8080",
        text));
  };
  std::string_view rest = text;
  constexpr std::string_view protocol = "tcp:";
  if (rest.substr(0, protocol.size()) == protocol) rest.remove_prefix(protocol.size());
  const auto colon = rest.find(':');
  const auto dash = rest.find("-:");
  if (colon == rest.npos || dash == rest.npos || dash < colon) throw fail();
  host_forward f;
  if (colon > 0) f.host = rest.substr(0, colon);
  in_addr a;
  const auto port = port_of(rest.substr(colon + 1, dash - colon - 1));
  const auto guest = port_of(rest.substr(dash + 2));
  if (inet_pton(AF_INET, f.host.c_str(), &a) != 1 || !port || !guest) throw fail();
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
  const std::uint32_t guest = host.ip.v4_value();
  const std::uint32_t mask = ~0u << (32 - host.prefix);
  const std::uint32_t gateway = (guest & mask) + (guest == (guest & mask) + 1 ? 2 : 1);
  SlirpConfig c = {};
  c.version = SLIRP_CONFIG_VERSION_MAX;
  c.in_enabled = true;
  c.vnetwork = network_order(guest & mask);
  c.vnetmask = network_order(mask);
  c.vhost = network_order(gateway);
  c.vnameserver = c.vhost;
  c.disable_dns = true;
  c.disable_dhcp = true;
  slirp_ = slirp_new(&c, &calls, this);
  if (!slirp_) throw scenario_error("--slirp: libslirp does not start");
  description_ = fmt::format("slirp {}, this machine is {}", slirp_version_string(), dotted(gateway));
  for (const host_forward& f : forwards) {
    in_addr here = {};
    inet_pton(AF_INET, f.host.c_str(), &here);
    errno = 0;
    if (slirp_add_hostfwd(slirp_, 0, here, f.port, network_order(guest), f.guest_port) != 0) {
      const int error = errno;
      slirp_cleanup(slirp_);
      throw scenario_error(
          fmt::format("--hostfwd: {}:{}: {}, allowed: an address of this machine and a free port", f.host,
                      f.port, std::strerror(error)));
    }
    description_ += fmt::format(", {}:{} -> {}:{}", f.host, f.port, dotted(guest), f.guest_port);
  }
  widen_backlogs();
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
  auto timeout = static_cast<std::uint32_t>(longest / nanos_a_millisecond);
  slirp_pollfds_fill(slirp_, &timeout, callbacks::add_poll, this);
  longest = std::min(longest, static_cast<wall_nanos>(timeout) * nanos_a_millisecond);
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
