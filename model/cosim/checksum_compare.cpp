#include "model/cosim/checksum_compare.h"

#include <fmt/format.h>

namespace understudy {
namespace {

const char* first_difference(const checksum_result& a, const checksum_result& b) {
  if (a.is_ip != b.is_ip) return "is_ip";
  if (a.ip_ok != b.ip_ok) return "ip_ok";
  if (a.l4_checked != b.l4_checked) return "l4_checked";
  if (a.l4_ok != b.l4_ok) return "l4_ok";
  if (a.ip_sum != b.ip_sum) return "ip_sum";
  if (a.l4_sum != b.l4_sum) return "l4_sum";
  if (a.ip_csum != b.ip_csum) return "ip_csum";
  if (a.l4_csum != b.l4_csum) return "l4_csum";
  if (a.cycles != b.cycles) return "cycles";
  return nullptr;
}

std::string text_of(const checksum_result& r) {
  return fmt::format(
      "is_ip={:d} ip_ok={:d} l4_checked={:d} l4_ok={:d} ip_sum={:04x} l4_sum={:04x} ip_csum={:04x} "
      "l4_csum={:04x} cycles={}",
      r.is_ip, r.ip_ok, r.l4_checked, r.l4_ok, r.ip_sum, r.l4_sum, r.ip_csum, r.l4_csum, r.cycles);
}

}  // namespace

std::optional<checksum_mismatch> compare_checksum(const frame_ref& frame, checksum_mode mode,
                                                  checksum_unit& rtl, checksum_unit& twin) {
  const bool insert = mode == checksum_mode::insert;
  const checksum_result r = insert ? rtl.compute(frame) : rtl.check(frame);
  const checksum_result t = insert ? twin.compute(frame) : twin.check(frame);
  const char* field = first_difference(r, t);
  if (!field) return std::nullopt;
  checksum_mismatch m{field, rtl.cycles(), r, t, {}};
  m.text = fmt::format("checksum: {} differs at cycle {}, frame of {} bytes, {}: rtl [{}] twin [{}]", field,
                       m.cycle, frame.size(), insert ? "insert" : "check", text_of(r), text_of(t));
  return m;
}

}  // namespace understudy
