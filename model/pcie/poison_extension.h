// Ignorable extension (IEEE 1666 14.2.1) of a register write: whether its TLP has the EP bit, so that the
// data must not be used (PCIe 2.7.2.2). A target that does not know it takes them.
#pragma once
#include <tlm>

namespace understudy {

struct poison_extension : tlm::tlm_extension<poison_extension> {
  bool poisoned = false;

  tlm::tlm_extension_base* clone() const override {
    auto* e = new poison_extension;
    e->copy_from(*this);
    return e;
  }
  void copy_from(const tlm::tlm_extension_base& o) override {
    poisoned = static_cast<const poison_extension&>(o).poisoned;
  }
};

}  // namespace understudy
