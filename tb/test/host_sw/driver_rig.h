// A driver on a fake machine, with a user and an observer that note what they hear.
#pragma once
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "host_sw/driver/driver.h"
#include "tb/test/host_sw/fake_machine.h"

namespace understudy::tb {

struct noting_user final : host::driver_user {
  std::vector<host::conn> accepted, connected, readable, writable;
  std::vector<std::pair<host::conn, int>> ended;
  int batches = 0;
  void on_accepted(int, host::conn c) override { accepted.push_back(c); }
  void on_connected(host::conn c) override { connected.push_back(c); }
  void on_readable(host::conn c) override { readable.push_back(c); }
  void on_writable(host::conn c) override { writable.push_back(c); }
  void on_end(host::conn c, int error) override { ended.emplace_back(c, error); }
  void on_batch_end() override { ++batches; }
};

// Keeps account of who may write which receive buffer, and of retention.
struct accounting final : host::driver_observer {
  std::map<std::uint32_t, unsigned> posted;  // buffer -> adapter
  std::map<std::uint32_t, seq32> freed;      // cid -> below
  int double_posts = 0, stray_takes = 0;
  std::size_t connections = 0, ends = 0;
  void on_post_buffer(unsigned adapter, buf_id id, iova, std::uint32_t) override {
    if (!posted.emplace(id.raw, adapter).second) ++double_posts;
  }
  void on_take_back(buf_id id) override {
    if (!posted.erase(id.raw)) ++stray_takes;
  }
  void on_send_freed(cid c, seq32 below) override { freed[c.raw] = below; }
  void on_connection(const host::connection_facts&) override { ++connections; }
  void on_connection_end(cid, int) override { ++ends; }
};

struct driver_rig {
  explicit driver_rig(unsigned adapters = 1, host::driver_config c = small_config())
      : m(adapters), d(m, std::move(c)) {
    d.set_user(&user);
    d.add_observer(&account);
  }
  void start() {
    const host::start_result r = d.start();
    ASSERT_EQ(r.error, host::driver_error::none) << r.text;
    m.run_us(10);
  }
  // A listener on port 80 and a connection that a peer opened to it; its shadow.
  host::conn accept_one(std::uint32_t cid = 5, std::uint16_t port = 1000, std::uint32_t iss = 100,
                        std::uint32_t irs = 500, unsigned adapter = 0) {
    if (!listening) listening = d.listen(v4(0, 80), 16, {}) >= 0;
    m.run_us(1);
    m.a[adapter].peer_opens(cid, port, 80, iss, irs);
    m.run_us(1);
    return user.accepted.empty() ? host::no_conn : user.accepted.back();
  }
  std::string read_all(host::conn c) {
    std::string s(1 << 16, 0);
    s.resize(d.read(c, s.data(), s.size()));
    m.run_us(1);
    return s;
  }
  std::ptrdiff_t write(host::conn c, const std::string& s) {
    const auto n = d.write(c, s.data(), s.size());
    m.run_us(1);
    return n;
  }
  host::shadow_facts shadow(std::uint32_t cid) const {
    for (const auto& s : d.shadows())
      if (s.facts.id.raw == cid) return s;
    return {};
  }

  fake_machine m;
  host::driver d;
  noting_user user;
  accounting account;
  bool listening = false;
};

inline std::string pattern(std::size_t n, unsigned seed = 1) {
  std::string s(n, 0);
  for (std::size_t i = 0; i < n; ++i) s[i] = static_cast<char>((i * 31 + seed * 7 + i / 251) & 0xff);
  return s;
}

}  // namespace understudy::tb
