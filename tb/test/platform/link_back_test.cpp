// The link of the active adapter is contained, and firmware lets it train again: before the driver has found
// out, or when it has fenced the adapter. No connection notices either.
#include "model/adapter/config_space.h"
#include "tb/test/platform/inside.h"

namespace understudy::tb {
namespace {

// Writes to the port of adapter A, so long after its containment.
class firmware {
 public:
  firmware(inside& i, picos containment_ends, picos disable_ends)
      : port_(*i.main().slots[0].port), containment_ends_(containment_ends), disable_ends_(disable_ends) {
    i.sim.on_started([this] { look(); });
  }
  picos contained_at = never;

 private:
  void look() {
    if (!port_.counters().contained) return agenda_.in(100_ns, [this] { look(); });
    contained_at = now_ps();
    agenda_.in(containment_ends_, [this] { port_.port_cfg_write(port_dpc_status, port_dpc_triggered); });
    if (disable_ends_ != never)
      agenda_.in(disable_ends_, [this] { port_.port_cfg_write(port_link_control, 0); });
  }

  pcie_port& port_;
  picos containment_ends_, disable_ends_;
  agenda agenda_;
};

// What adapter A does when its link is down or back.
struct signs_of_life : event_observer {
  explicit signs_of_life(const firmware& f) : since(f) {}
  const firmware& since;
  unsigned frames = 0, writes = 0;
  void on_event(const event& e) override {
    if (e.unit != 0 || since.contained_at == never || e.at < since.contained_at + 1_us) return;
    frames += e.kind == event_kind::frame_out;
    writes += e.kind == event_kind::write_visible || e.kind == event_kind::interrupt;
  }
};

struct course {
  const char* name;
  picos containment_ends, disable_ends;
  bool up;  // at the end
};

class contained_link : public testing::TestWithParam<course> {};
INSTANTIATE_TEST_SUITE_P(with, contained_link,
                         testing::Values(course{"containment_over_before_the_driver_knows", 20_us, never,
                                                true},
                                         course{"containment_over_behind_the_fence", 1_ms, never, false},
                                         course{"everything_over_in_the_recovery", 200_us, 290_us, true},
                                         course{"everything_over_behind_the_failover", 1_ms, 1200_us, true}),
                         [](const auto& p) { return std::string(p.param.name); });

TEST_P(contained_link, finds_an_adapter_that_has_reset_and_no_connection_notices) {
  inside i("failover.toml", {"fault=[{kind=\"poisoned_write\", at_fraction=0.3}]"});
  firmware f(i, GetParam().containment_ends, GetParam().disable_ends);
  signs_of_life life(f);
  i.sim.log().subscribe(&life);
  const run_result r = i.sim.run();
  EXPECT_EQ(r.reasons, std::vector<std::string>{}) << "every byte of every connection, no monitor violated";
  EXPECT_EQ(r.failovers.size(), 1u);
  ASSERT_NE(f.contained_at, never);
  EXPECT_EQ(life.frames, 0u);
  EXPECT_EQ(life.writes, 0u);
  pcie_port& port = *i.main().slots[0].port;
  EXPECT_EQ(port.link_up(), GetParam().up);
  if (!GetParam().up) return;
  std::uint32_t command = 0, control = 0;
  port.cfg_read(config_space::command, [&](std::uint32_t v) { command = v; });
  port.mmio_read(US_REG_CONTROL, [&](std::uint32_t v) { control = v; });
  sc_core::sc_start(to_sc(10_us));
  EXPECT_EQ(command & 0xffff, 0u) << "as after power-on, or fenced";
  EXPECT_EQ(control, 0u);
}

}  // namespace
}  // namespace understudy::tb
