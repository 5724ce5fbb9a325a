// What crosses the PCI Express links and what driver and adapters tell each other in memory, as interfaces of
// the capture: TLP headers, input descriptors at their doorbell, commit records when they are visible.
// traces/wireshark/understudy.lua dissects them.
#pragma once
#include <cstdint>
#include <vector>

#include "host_sw/driver/driver.h"
#include "model/core/event_log.h"
#include "model/net/pcapng.h"
#include "model/pcie/host_memory.h"
#include "model/pcie/tlp.h"

namespace understudy::tb {

// The header of a TLP as it is on the wire (PCIe 2.2), behind four bytes of our own: version 1, direction (0:
// to the host), two reserved. Tags and identifiers are 0: the event log does not carry them. Returns the
// length.
std::size_t tlp_header(std::uint8_t (&out)[20], bool up, tlp_type type, std::uint64_t address,
                       std::uint32_t length);

class bus_tap : public event_observer {
 public:
  static constexpr unsigned tlp_link_type = 147, descriptor_link_type = 148;  // LINKTYPE_USER0 and USER1

  // One interface for the TLPs and one for the descriptors of each adapter, named by its letter.
  bus_tap(pcapng_writer& writer, host_memory& memory, const host::any_driver& driver, unsigned adapters);
  void on_event(const event& e) override;

 private:
  void posted_descriptors(const event& e);
  pcapng_writer& writer_;
  host_memory& memory_;
  const host::any_driver& driver_;
  std::vector<unsigned> tlps_, descriptors_;  // interfaces by adapter
  std::vector<std::uint32_t> idt_tail_;
};

}  // namespace understudy::tb
