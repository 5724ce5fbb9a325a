// Ignorable extension (IEEE 1666 14.2.1) of a DMA write. Its data may lie in a pooled frame: a target may
// keep the frame instead of copying the data; while it is kept, nobody writes those bytes. And the attribute
// bit of its TLP: Relaxed Ordering. Of a DMA read: its tag, and how its answer was cut into completions.
#pragma once
#include <cstdint>
#include <tlm>

#include "model/core/frame.h"
#include "model/pcie/tlp.h"

namespace understudy {

struct frame_extension : tlm::tlm_extension<frame_extension> {
  frame_ref frame;        // the payload's data pointer points into it; empty: the data are elsewhere
  bool relaxed = false;   // may become visible before writes that went earlier (PCIe 2.4.1)
  std::uint16_t tag = 0;  // up to 10 bits (PCIe 2.2.6.2)
  // Set by whoever answers a read with data: the link whose MPS and RCB its completions obey
  // (first_completion()).
  link_parameters completer;

  tlm::tlm_extension_base* clone() const override {
    auto* e = new frame_extension;
    e->copy_from(*this);
    return e;
  }
  void copy_from(const tlm::tlm_extension_base& o) override {
    const auto& e = static_cast<const frame_extension&>(o);
    frame = e.frame;
    relaxed = e.relaxed;
    tag = e.tag;
    completer = e.completer;
  }
};

}  // namespace understudy
