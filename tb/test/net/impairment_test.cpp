#include "model/net/impairment.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

namespace understudy {
namespace {

constexpr std::uint64_t seed = 20240607;

impairment_config parsed(std::string_view text) {
  const auto r = parse_impairment(text);
  if (const auto* e = std::get_if<impairment_error>(&r)) {
    ADD_FAILURE() << text << ": " << e->what;
    return {};
  }
  return std::get<impairment_config>(r);
}

std::string error_of(std::string_view text) {
  const auto r = parse_impairment(text);
  const auto* e = std::get_if<impairment_error>(&r);
  return e ? e->what : "";
}

frame_ref ip_frame(std::uint32_t length = 1514, std::uint16_t total = 1500) {
  frame_ref f = frame_ref::make(length);
  std::memset(f.data(), 0, length);
  f.data()[12] = 0x08;
  f.data()[14] = 0x45;
  f.data()[16] = static_cast<std::uint8_t>(total >> 8);
  f.data()[17] = static_cast<std::uint8_t>(total);
  return f;
}

frame_ref arp_frame() {
  frame_ref f = frame_ref::make(60);
  std::memset(f.data(), 0, 60);
  f.data()[12] = 0x08;
  f.data()[13] = 0x06;
  return f;
}

// An ICMPv6 message of the given type behind an IPv6 header.
frame_ref icmp6_frame(std::uint8_t type) {
  frame_ref f = frame_ref::make(78);
  std::memset(f.data(), 0, 78);
  f.data()[12] = 0x86;
  f.data()[13] = 0xdd;
  f.data()[14] = 0x60;
  f.data()[19] = 24;
  f.data()[20] = 58;
  f.data()[54] = type;
  return f;
}

// Whether a share seen in n draws fits probability p: within four standard deviations.
void expect_share(double seen, double p, int n) {
  EXPECT_NEAR(seen, p, 4 * std::sqrt(p * (1 - p) / n)) << "seed " << seed;
}

TEST(impairment_grammar, empty_text_means_no_impairment) {
  EXPECT_EQ(parsed(""), impairment_config{});
  EXPECT_EQ(parsed("  \t "), impairment_config{});
}

TEST(impairment_grammar, percent_sign_is_optional_and_may_stand_apart) {
  for (const char* text : {"loss 1%", "loss 1 %", "loss 1", "loss 1.0%"})
    EXPECT_DOUBLE_EQ(parsed(text).loss, 0.01) << text;
  EXPECT_DOUBLE_EQ(parsed("loss 0.1%").loss, 0.001);
  EXPECT_DOUBLE_EQ(parsed("loss 100%").loss, 1);
}

TEST(impairment_grammar, clauses_come_in_any_order) {
  const auto c = parsed("delay 5us 1us duplicate 2% loss 1 reorder 25 % corrupt 0.5%");
  EXPECT_DOUBLE_EQ(c.loss, 0.01);
  EXPECT_DOUBLE_EQ(c.duplicate, 0.02);
  EXPECT_DOUBLE_EQ(c.reorder, 0.25);
  EXPECT_DOUBLE_EQ(c.corrupt, 0.005);
  EXPECT_EQ(c.delay, 5_us);
  EXPECT_EQ(c.jitter, 1_us);
  EXPECT_EQ(c, parsed("corrupt 0.5% reorder 25% loss 1% delay 5us 1us duplicate 2%"));
  EXPECT_DOUBLE_EQ(parsed("corrupt_all 3%").corrupt_all, 0.03);
}

TEST(impairment_grammar, times_take_netems_units_and_shorter_ones) {
  EXPECT_EQ(parsed("delay 7").delay, 7_us);
  EXPECT_EQ(parsed("delay 7 ms").delay, 7_ms);
  EXPECT_EQ(parsed("delay 250ns 1.5ns").jitter, 1500_ps);
  EXPECT_EQ(parsed("delay 1sec").delay, 1_s);
  EXPECT_EQ(parsed("delay 3ps loss 1%").delay, 3_ps);
}

TEST(impairment_grammar, gemodel_has_netems_defaults) {
  const auto one = parsed("loss gemodel 1%");
  EXPECT_TRUE(one.gemodel);
  EXPECT_DOUBLE_EQ(one.ge_p, 0.01);
  EXPECT_DOUBLE_EQ(one.ge_r, 0.99);
  EXPECT_DOUBLE_EQ(one.ge_loss_bad, 1);
  EXPECT_DOUBLE_EQ(one.ge_loss_good, 0);
  const auto all = parsed("loss gemodel 1% 20% 90% 0.5% duplicate 1%");
  EXPECT_DOUBLE_EQ(all.ge_r, 0.2);
  EXPECT_DOUBLE_EQ(all.ge_loss_bad, 0.9);
  EXPECT_DOUBLE_EQ(all.ge_loss_good, 0.005);
  EXPECT_DOUBLE_EQ(all.duplicate, 0.01);
}

TEST(impairment_grammar, errors_name_the_wrong_word_and_what_is_allowed) {
  const std::map<std::string, std::vector<std::string>> wrong{
      {"lose 1%", {"'lose'", "loss P", "reorder P"}},
      {"loss", {"'loss'", "0 to 100"}},
      {"loss duplicate 1%", {"'duplicate'", "'loss'", "0 to 100"}},
      {"loss 101%", {"'101%'", "0 to 100"}},
      {"loss 101 %", {"'%'", "0 to 100"}},
      {"loss -1%", {"'-1%'", "0 to 100"}},
      {"loss nan", {"'nan'", "0 to 100"}},
      {"loss 1x", {"'1x'", "0 to 100"}},
      {"loss 1% 25%", {"'25%'", "is not an impairment"}},
      {"loss 1% loss 2%", {"'loss'", "twice"}},
      {"loss gemodel", {"'loss gemodel'", "0 to 100"}},
      {"delay", {"'delay'", "ms"}},
      {"delay 5 minutes", {"'minutes'"}},
      {"delay 5m", {"'5m'", "ms"}},
      {"delay 61s", {"'61s'", "60 s"}},
      {"delay 1us 2%", {"'2%'", "us"}},
      {"seed 7", {"'seed'", "not allowed"}},
  };
  int checked = 0;
  for (const auto& [text, parts] : wrong) {
    const std::string what = error_of(text);
    for (const auto& part : parts) EXPECT_NE(what.find(part), std::string::npos) << text << ": " << what;
    ++checked;
  }
  EXPECT_EQ(checked, 17);
}

TEST(impairment_dice, loss_duplication_and_corruption_keep_their_shares) {
  impairment dice(parsed("loss 3% duplicate 5% corrupt 10%"), seed, "wire/test/ab");
  const frame_ref f = ip_frame();
  constexpr int n = 100000;
  int lost = 0, duplicated = 0, flipped = 0;
  for (int i = 0; i < n; ++i) {
    const auto v = dice.judge(f);
    lost += v.lost;
    duplicated += v.duplicated;
    flipped += v.flipped >= 0;
  }
  expect_share(lost / double(n), 0.03 * 0.95, n);  // a frame both duplicated and lost passes once
  expect_share(duplicated / double(n), 0.05 * 0.97, n);
  expect_share(flipped / double(n), 0.10 * (1 - 0.03 * 0.95), n);
}

TEST(impairment_dice, gemodel_losses_come_in_bursts_of_the_right_length) {
  impairment dice(parsed("loss gemodel 1% 20%"), seed, "wire/test/ab");
  const frame_ref f = ip_frame();
  constexpr int n = 200000;
  int lost = 0, bursts = 0;
  bool before = false;
  for (int i = 0; i < n; ++i) {
    const bool now = dice.judge(f).lost;
    lost += now;
    bursts += now && !before;
    before = now;
  }
  EXPECT_NEAR(lost / double(n), 0.01 / 0.21, 0.005) << "seed " << seed;
  EXPECT_NEAR(lost / double(bursts), 5, 0.3) << "seed " << seed;
}

TEST(impairment_dice, jitter_is_uniform_around_the_delay) {
  impairment dice(parsed("delay 10us 4us"), seed, "wire/test/ab");
  const frame_ref f = ip_frame();
  constexpr int n = 50000;
  double sum = 0;
  picos least = never, most = 0;
  for (int i = 0; i < n; ++i) {
    const picos d = dice.judge(f).delay;
    sum += static_cast<double>(d);
    least = std::min(least, d);
    most = std::max(most, d);
  }
  EXPECT_NEAR(sum / n, 10e6, 0.05e6);
  EXPECT_GE(least, 6_us);
  EXPECT_LT(least, 6_us + 10_ns);
  EXPECT_LT(most, 14_us);
  EXPECT_GT(most, 14_us - 10_ns);
}

TEST(impairment_dice, jitter_larger_than_the_delay_never_goes_back_in_time) {
  impairment dice(parsed("delay 1us 4us"), seed, "wire/test/ab");
  const frame_ref f = ip_frame();
  int at_once = 0;
  for (int i = 0; i < 1000; ++i) {
    const picos d = dice.judge(f).delay;
    EXPECT_LT(d, 5_us);
    at_once += d == 0;
  }
  EXPECT_NEAR(at_once, 375, 60);
}

TEST(impairment_dice, reorder_with_a_delay_sends_that_share_at_once) {
  impairment dice(parsed("delay 10us reorder 25%"), seed, "wire/test/ab");
  const frame_ref f = ip_frame();
  constexpr int n = 20000;
  int at_once = 0;
  for (int i = 0; i < n; ++i) {
    const auto v = dice.judge(f);
    EXPECT_FALSE(v.held);
    EXPECT_TRUE(v.delay == 0 || v.delay == 10_us);
    at_once += v.delay == 0;
  }
  expect_share(at_once / double(n), 0.25, n);
}

TEST(impairment_dice, reorder_without_a_delay_holds_that_share_back) {
  impairment dice(parsed("reorder 25%"), seed, "wire/test/ab");
  const frame_ref f = ip_frame();
  constexpr int n = 20000;
  int held = 0;
  for (int i = 0; i < n; ++i) held += dice.judge(f).held;
  expect_share(held / double(n), 0.25, n);
}

TEST(impairment_dice, switching_one_impairment_on_shifts_no_other) {
  impairment alone(parsed("loss 10%"), seed, "wire/test/ab");
  impairment among(parsed("loss 10% corrupt 50% reorder 50% delay 3us 1us"), seed, "wire/test/ab");
  const frame_ref f = ip_frame();
  int lost = 0;
  for (int i = 0; i < 5000; ++i) {
    const bool l = alone.judge(f).lost;
    EXPECT_EQ(l, among.judge(f).lost);
    lost += l;
  }
  EXPECT_GT(lost, 0);
}

TEST(impairment_dice, directions_and_seeds_differ) {
  impairment ab(parsed("loss 50%"), seed, "wire/test/ab");
  impairment ba(parsed("loss 50%"), seed, "wire/test/ba");
  impairment other(parsed("loss 50%"), seed + 1, "wire/test/ab");
  const frame_ref f = ip_frame();
  int differ_ba = 0, differ_seed = 0;
  for (int i = 0; i < 1000; ++i) {
    const bool l = ab.judge(f).lost;
    differ_ba += l != ba.judge(f).lost;
    differ_seed += l != other.judge(f).lost;
  }
  EXPECT_NEAR(differ_ba, 500, 100);
  EXPECT_NEAR(differ_seed, 500, 100);
}

TEST(impairment_corruption, reaches_every_byte_of_the_packet_and_nothing_else) {
  impairment dice(parsed("corrupt 100%"), seed, "wire/test/ab");
  const frame_ref f = ip_frame(60, 40);  // six bytes of padding
  std::set<int> bytes;
  for (int i = 0; i < 20000; ++i) bytes.insert(dice.judge(f).flipped / 8);
  EXPECT_EQ(*bytes.begin(), 14);
  EXPECT_EQ(*bytes.rbegin(), 53);
  EXPECT_EQ(bytes.size(), 40u);
}

TEST(impairment_corruption, spares_arp_and_neighbour_discovery) {
  impairment dice(parsed("corrupt 100%"), seed, "wire/test/ab");
  EXPECT_EQ(dice.judge(arp_frame()).flipped, -1);
  for (int type = 133; type <= 137; ++type)
    EXPECT_EQ(dice.judge(icmp6_frame(static_cast<std::uint8_t>(type))).flipped, -1);
  EXPECT_GE(dice.judge(icmp6_frame(128)).flipped, 14 * 8) << "an echo request is not spared";
}

TEST(impairment_corruption, corrupt_all_spares_nothing) {
  impairment dice(parsed("corrupt_all 100%"), seed, "wire/test/ab");
  const frame_ref f = arp_frame();
  std::set<int> bytes;
  for (int i = 0; i < 20000; ++i) bytes.insert(dice.judge(f).flipped / 8);
  EXPECT_EQ(bytes.size(), 60u);
}

TEST(impairment_corruption, copies_the_frame) {
  const frame_ref f = ip_frame();
  const frame_ref g = flip_bit(f, 14 * 8 + 3);
  EXPECT_EQ(f.data()[14], 0x45);
  EXPECT_EQ(g.data()[14], 0x45 ^ 8);
  EXPECT_EQ(f.size(), g.size());
  EXPECT_EQ(std::memcmp(f.data() + 15, g.data() + 15, f.size() - 15), 0);
}

TEST(impairment_corruption, truncated_frames_are_left_alone) {
  impairment dice(parsed("corrupt 100%"), seed, "wire/test/ab");
  const std::uint8_t bytes[33] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0x45};
  for (std::uint32_t n = 0; n <= 33; ++n)
    EXPECT_EQ(dice.judge(frame_ref::copy_of(bytes, n)).flipped, -1) << n;
}

}  // namespace
}  // namespace understudy
