// Marks packets that leave by a device as a congested router would (RFC 3168): a program of the kernel's own
// (eBPF) at the device's way out, for no scheduler that marks is in every kernel.
#pragma once
#include <linux/bpf.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

namespace understudy::tb {

class congestion_marker {
 public:
  // One in `every` packets, at random, of those that may be marked, until this is gone.
  congestion_marker(const char* device, std::int32_t every) {
    constexpr auto op = [](int code, unsigned to, unsigned from, std::int16_t skip, std::int32_t value) {
      return bpf_insn{static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(to & 15),
                      static_cast<std::uint8_t>(from & 15), skip, value};
    };
    const std::array<bpf_insn, 8> code{
        op(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0),
        op(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_prandom_u32),
        op(BPF_ALU64 | BPF_MOD | BPF_K, BPF_REG_0, 0, 0, every),
        op(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 2, 0),
        op(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_6, 0, 0),
        op(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_ecn_set_ce),
        op(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0),  // let it go on
        op(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
    };
    bpf_attr load = {};
    load.prog_type = BPF_PROG_TYPE_SCHED_CLS;
    load.insns = reinterpret_cast<std::uintptr_t>(code.data());
    load.insn_cnt = code.size();
    load.license = reinterpret_cast<std::uintptr_t>("GPL");
    program_ = bpf(BPF_PROG_LOAD, load);
    if (program_ < 0) return;
    constexpr std::uint32_t way_out = 47;  // BPF_TCX_EGRESS, Linux 6.6
    bpf_attr link = {};
    link.link_create.prog_fd = static_cast<std::uint32_t>(program_);
    link.link_create.target_ifindex = if_nametoindex(device);
    link.link_create.attach_type = way_out;
    link_ = bpf(BPF_LINK_CREATE, link);
  }
  congestion_marker(const congestion_marker&) = delete;
  congestion_marker& operator=(const congestion_marker&) = delete;
  ~congestion_marker() {
    if (link_ >= 0) ::close(link_);
    if (program_ >= 0) ::close(program_);
  }
  // Empty: it marks.
  const std::string& trouble() const { return trouble_; }

 private:
  int bpf(bpf_cmd command, bpf_attr& attributes) {
    const auto fd = static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
    if (fd < 0) trouble_ = std::strerror(errno);
    return fd;
  }
  int program_ = -1, link_ = -1;
  std::string trouble_;
};

}  // namespace understudy::tb
