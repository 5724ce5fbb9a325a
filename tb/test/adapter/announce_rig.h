// A listener at the adapter's input table and peers by hand, and how their connections become known.
#pragma once
#include <vector>

#include "tb/test/adapter/adapter_rig.h"

namespace understudy::tb {

inline constexpr std::uint16_t http = 80;
inline constexpr std::uint16_t first_peer = 5000;

struct terms {
  std::uint32_t count = 32;
  std::uint32_t age_us = 0;
  std::uint8_t commit = US_COMMIT_BEFORE_SYNACK;
  std::uint8_t flags = US_CONN_PROTECTED;
  std::uint32_t credits = 0;
  std::uint32_t buffers = 8;  // so few descriptors that no CREDIT comes
};

inline us_idt_entry listener(us_opcode op, const terms& t) {
  us_idt_entry e{};
  e.opcode = static_cast<std::uint8_t>(op);
  e.flags = t.flags;
  e.cid = US_NO_CID;
  e.u.listen.port = http;
  e.u.listen.backlog = 64;
  e.u.listen.commit = t.commit;
  e.u.listen.credits = t.credits;
  return e;
}

inline void serve(adapter_rig& g, const terms& t) {
  g.bring_up();
  g.write(US_REG_ANNOUNCE_COUNT, t.count);
  g.write(US_REG_ANNOUNCE_AGE_US, t.age_us);
  g.post_address();
  g.post(listener(US_OP_LISTEN, t));
  for (std::uint32_t i = 0; i < t.buffers; ++i) g.post_pool();
  g.ring(50_us);
  g.introduce_peer();
}

// Connections from ports first_peer on; their ISS.
inline std::vector<seq32> establish(adapter_rig& g, std::uint16_t n, std::uint16_t from = 0) {
  std::vector<seq32> all;
  for (std::uint16_t i = from; i < from + n; ++i) {
    seq32 iss;
    EXPECT_TRUE(g.establish(http, static_cast<std::uint16_t>(first_peer + i), seq32{1000}, &iss));
    all.push_back(iss);
  }
  return all;
}

inline std::vector<us_record> of(const std::vector<us_record>& all, us_record_type type) {
  std::vector<us_record> some;
  for (const us_record& r : all)
    if (r.type == type) some.push_back(r);
  return some;
}

// Bursts that were written for `why`.
inline std::uint64_t bursts_for(const adapter_rig& g, announce_reason why) {
  return g.dev.announcements().by_reason[static_cast<std::size_t>(why)];
}

}  // namespace understudy::tb
