// What crosses the PCI Express links and what driver and adapters tell each other in memory, as interfaces of
// the capture: TLP headers, descriptors at their doorbell, commit records when they are visible.
// traces/wireshark/understudy.lua dissects them.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <vector>

#include "host_sw/driver/driver.h"
#include "model/core/event_log.h"
#include "model/net/pcapng.h"
#include "model/pcie/host_memory.h"
#include "model/pcie/pcie_port.h"
#include "model/pcie/tlp.h"

namespace understudy::tb {

// The header of a TLP as it is on the wire (PCIe 2.2), behind four bytes of our own: version 1, direction (0:
// to the host), two reserved. Requester and completer are 0: there is one function on the link. Returns the
// length.
std::size_t tlp_header(std::uint8_t (&out)[20], const tlp_on_link& t);

class bus_tap : public event_observer, public tlp_observer {
 public:
  static constexpr unsigned tlp_link_type = 147, descriptor_link_type = 148;  // LINKTYPE_USER0 and USER1

  // One interface for the TLPs and one for the descriptors of each adapter, named by its letter, and one for
  // those of each of its transmit queues, named by letter and number.
  bus_tap(pcapng_writer& writer, host_memory& memory, const host::any_driver& driver, unsigned adapters,
          unsigned tx_queues);
  void on_event(const event& e) override;
  void on_tlp(std::uint16_t unit, const tlp_on_link& t) override;
  // Write what is still on the wires; before the capture is closed.
  void finish() { write_until(never); }

 private:
  // A TLP that an observer was told of before its time.
  struct coming {
    picos at = 0;
    std::uint64_t order = 0;
    unsigned interface = 0;
    bool up = false;
    std::uint32_t header = 0, length = 0;  // bytes
    std::uint8_t bytes[20] = {};
    bool operator>(const coming& o) const { return at != o.at ? at > o.at : order > o.order; }
  };
  void write_until(picos now);

  // A ring of descriptors that the host writes.
  struct written_ring {
    unsigned interface = 0;
    std::optional<std::uint32_t> tail;  // nothing: no doorbell yet
  };
  // What lies between the last doorbell of the ring at `base` and this one.
  void posted_descriptors(written_ring& ring, const event& e, std::uint64_t base, std::uint32_t entries,
                          std::uint32_t first);
  pcapng_writer& writer_;
  host_memory& memory_;
  const host::any_driver& driver_;
  std::vector<unsigned> tlps_;                 // interfaces by adapter
  std::vector<written_ring> input_;            // by adapter; its interface carries the records, too
  std::vector<std::vector<written_ring>> tx_;  // by adapter and queue
  std::priority_queue<coming, std::vector<coming>, std::greater<>> coming_;
  std::uint64_t told_ = 0;
};

}  // namespace understudy::tb
