#include "model/adapter/config_space.h"

#include <algorithm>

#include "model/abi/understudy_abi.h"
#include "model/pcie/tlp.h"

namespace understudy {

namespace {

// A field that asks for more than `most` gets that.
std::uint32_t limit(std::uint32_t value, unsigned bit, std::uint32_t most) {
  return (value & ~(7u << bit)) | std::min(value >> bit & 7, size_code(most)) << bit;
}

}  // namespace

config_space::config_space(const function_limits& limits) : limits_(limits) {
  power_on();
  set_up();
}

error_message config_space::report_error(std::uint32_t bit, bool advisory) {
  const std::uint32_t control = read(device_control);
  const bool unsupported = bit & aer_unsupported_request, fatal = read(aer_severity) & bit;
  const bool signalled = !unsupported || control & signal_unsupported;
  if (unsupported) report(device_control, unsupported_detected);
  if (advisory && !fatal) {
    if (!(read(aer_correctable_mask) & aer_advisory)) report(aer_uncorrectable, bit);
    const error_message m = report_correctable(aer_advisory);
    return signalled ? m : error_message::none;
  }
  report(device_control, fatal ? fatal_detected : non_fatal_detected);
  report(aer_uncorrectable, bit);
  if (!signalled || read(aer_uncorrectable_mask) & bit) return error_message::none;
  if (fatal) return control & signal_fatal ? error_message::fatal : error_message::none;
  return control & signal_non_fatal ? error_message::non_fatal : error_message::none;
}

error_message config_space::report_correctable(std::uint32_t bit) {
  report(device_control, correctable_detected);
  report(aer_correctable, bit);
  const bool sent = read(device_control) & signal_correctable && !(read(aer_correctable_mask) & bit);
  return sent ? error_message::correctable : error_message::none;
}

// What is sticky, or belongs to the link, stays (PCIe 6.6.2, 7.4).
void config_space::reset() {
  const auto before = value_;
  hot_reset();
  keep(before, device_control, 7u << mps_bit);
  keep(before, link_control, ~0u);
}

void config_space::hot_reset() {
  const auto before = value_;
  power_on();
  for (std::uint32_t at = aer_uncorrectable; at <= aer_correctable_mask; at += 4) keep(before, at, ~0u);
}

void config_space::keep(const std::array<std::uint32_t, bytes / 4>& before, std::uint32_t offset,
                        std::uint32_t bits) {
  value_[offset / 4] = (value_[offset / 4] & ~bits) | (before[offset / 4] & bits);
}

void config_space::power_on() {
  value_.fill(0);
  const std::uint32_t extended = limits_.tags > tags_of_5_bits ? enable_extended_tag : 0;
  const std::uint32_t wide = limits_.tags > tags_of_8_bits ? enable_10_bit_tag : 0;
  constexpr std::uint32_t mrrs_512 = 2u << mrrs_bit;
  set(0x00, US_PCI_DEVICE << 16 | US_PCI_VENDOR, 0);
  set(command, 0x0010'0000, 0x0000'0406);       // capabilities list; memory space, bus master, INTx disable
  set(0x08, 0x0200'0001, 0);                    // class: Ethernet controller; revision 1
  set(bar0, 0x0000'0004, ~(US_BAR0_SIZE - 1));  // 64-bit memory BAR; sizing works by writing all-ones
  set(bar0 + 4, 0, ~0u);
  set(0x2c, US_PCI_DEVICE << 16 | US_PCI_VENDOR, 0);
  set(0x34, pcie_capability, 0);
  set(pcie_capability, 0x0002'0010 | msix_capability << 8, 0);  // PCI Express endpoint, version 2
  // Role-based error reporting, function-level reset.
  set(device_capabilities, 0x1000'8000 | size_code(limits_.mps) | (extended ? 1u << 5 : 0), 0);
  set(device_control, limit(enable_relaxed_ordering | mrrs_512, mrrs_bit, limits_.mrrs),
      0x0000'70ff | extended);  // the defaults of PCIe 7.5.3.4, within the slot
  set(link_capabilities, limits_.generation | limits_.lanes << 4, 0);
  set(link_control, 0, 0x0000'00c8);  // RCB, common clock, extended synch: Stored
  // Completion Timeout Disable; 10-bit tags: Completer, Requester.
  set(device_capabilities_2, 1u << 4 | 1u << 16 | (wide ? 1u << 17 : 0), 0);
  set(device_control_2, 0, wide | disable_completion_timeout);
  set(link_capabilities_2, ((1u << limits_.generation) - 1) << 1, 0);            // every speed up to its own
  set(msix_capability, 0x0000'0011 | (US_MSIX_VECTORS - 1) << 16, 0xc000'0000);  // enable and function mask
  set(msix_capability + 4, US_MSIX_TABLE, 0);
  set(aer_capability, 0x0001 | 2u << 16, 0);  // Advanced Error Reporting, version 2, end of the list
  set(aer_uncorrectable_mask, 0, 0x003f'f030);
  set(aer_severity, 0x0006'2030, 0x003f'f030);           // the defaults of PCIe 7.8.4.4
  set(aer_correctable_mask, aer_advisory, 0x0000'f1c1);  // the default of PCIe 7.8.4.6
  set(msix_capability + 8, US_MSIX_PBA, 0);
  trained(limits_.generation, limits_.lanes);
}

// As firmware does: what the slot carries, and every error signalled.
void config_space::set_up() {
  const std::uint32_t signals = signal_correctable | signal_non_fatal | signal_fatal | signal_unsupported;
  write(device_control, signals | enable_relaxed_ordering | enable_extended_tag |
                            size_code(limits_.mps) << mps_bit | size_code(limits_.mrrs) << mrrs_bit);
  write(device_control_2, enable_10_bit_tag);
}

void config_space::trained(unsigned generation, unsigned lanes) {
  std::uint32_t& v = value_[link_control / 4];
  v = (v & 0xffff) | generation << 16 | lanes << 20;
}

std::uint32_t config_space::tags() const {
  if (read(device_control_2) & enable_10_bit_tag) return limits_.tags;
  return std::min(limits_.tags, read(device_control) & enable_extended_tag ? tags_of_8_bits : tags_of_5_bits);
}

std::uint32_t config_space::read(std::uint32_t offset) const {
  return offset / 4 < value_.size() ? value_[offset / 4] : 0;
}

void config_space::write(std::uint32_t offset, std::uint32_t value) {
  if (offset / 4 >= value_.size()) return;
  offset &= ~3u;
  if (offset == command) value_[offset / 4] &= ~(value & (received_target_abort | received_master_abort));
  if (offset == device_control)
    value_[offset / 4] &=
        ~(value & (correctable_detected | non_fatal_detected | fatal_detected | unsupported_detected));
  if (offset == aer_uncorrectable || offset == aer_correctable) value_[offset / 4] &= ~value;
  if (offset == device_control) value = limit(limit(value, mps_bit, limits_.mps), mrrs_bit, limits_.mrrs);
  const std::uint32_t mask = writable_[offset / 4];
  value_[offset / 4] = (value_[offset / 4] & ~mask) | (value & mask);
}

void config_space::set(std::uint32_t offset, std::uint32_t value, std::uint32_t writable) {
  value_[offset / 4] = value;
  writable_[offset / 4] = writable;
}

}  // namespace understudy
