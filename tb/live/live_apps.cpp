#include "tb/live/live_apps.h"

#include <fmt/format.h>

#include <cstring>
#include <sstream>

#include "host_sw/apps/streams.h"

namespace understudy::tb {

namespace {
constexpr unsigned backlog = 1024;  // as a busy server asks for; Linux cuts at 4096

std::vector<std::string> urls_of(const std::string& words) {
  std::istringstream in(words);
  std::vector<std::string> all;
  for (std::string url; in >> url; all.push_back(url))
    if (!host::parse_http_url(url))
      throw scenario_error(
          fmt::format("app.fetch: \"{}\" cannot be fetched, allowed: http://HOST[:PORT][/PATH], HOST an IPv4 "
                      "address or an "
                      "IPv6 address in brackets",
                      url));
  return all;
}

}  // namespace

live_apps::live_apps(const scenario& s, host::driver& d, host::hal& machine)
    : driver_(d),
      sockets_(d),
      reactor_(sockets_, machine),
      root_(s.app.root),
      urls_(urls_of(s.app.fetch)),
      client_(reactor_) {
  d.add_observer(this);
  const auto add = [this](const char* name, std::uint32_t port, host::service::factory f) {
    if (port) services_.push_back({name, port, std::make_unique<host::service>(reactor_, std::move(f))});
  };
  add("HTTP", s.app.http_port, [this] { return host::make_http_session(root_, http_); });
  add("echo", s.app.echo_port, host::make_echo);
  add("discard", s.app.discard_port, host::make_discard);
  add("pump", s.app.pump_port, host::make_pump);
}

std::string live_apps::listen() {
  for (const running& r : services_) {
    const int e = r.work->listen(static_cast<std::uint16_t>(r.port), backlog);
    if (e != 0) return fmt::format("app: {} on port {}: {}", r.name, r.port, std::strerror(-e));
  }
  return {};
}

void live_apps::fetch(const std::string& folder) {
  for (std::size_t i = 0; i < urls_.size(); ++i)
    client_.get(urls_[i], fmt::format("{}/fetched-{}", folder, i + 1));
}

void live_apps::abort_all() {
  client_.abort_all();
  for (const running& r : services_) r.work->abort_all();
}

connection_counts live_apps::connections() const {
  connection_counts c;
  for (const running& r : services_) {
    c.opened += r.work->count().accepted;
    c.completed += r.work->count().closed;
    c.reset += r.work->count().reset;
    c.aborted += r.work->count().aborted;
  }
  return c;
}

std::size_t live_apps::open() const {
  std::size_t n = 0;
  for (const running& r : services_) n += r.work->open();
  return n;
}

std::uint64_t live_apps::bytes_sent() const {
  return driver_.counters().copied_bytes - received_;
}

void live_apps::on_delivered(int, cid, std::span<const std::uint8_t> bytes) {
  received_ += bytes.size();
}

}  // namespace understudy::tb
