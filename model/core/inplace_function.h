// A callable of fixed size that never allocates: std::function for the frame path.
#pragma once
#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

namespace understudy {

template <typename Signature, std::size_t Capacity = 64>
class inplace_function;

// Holds any callable of at most Capacity bytes; a larger one does not compile. Move-only.
template <typename R, typename... Args, std::size_t Capacity>
class inplace_function<R(Args...), Capacity> {
 public:
  inplace_function() noexcept {}  // NOLINT(modernize-use-equals-default): `= default` has {} clear the store
  template <typename F, typename = std::enable_if_t<!std::is_same_v<std::decay_t<F>, inplace_function>>>
  inplace_function(F&& f) {  // NOLINT(google-explicit-constructor): a lambda converts, as with std::function
    emplace(std::forward<F>(f));
  }
  // Hold `f` instead of what is held.
  void emplace(inplace_function&& f) { *this = std::move(f); }
  template <typename F>
  void emplace(F&& f) {
    using T = std::decay_t<F>;
    static_assert(sizeof(T) <= Capacity, "callable too large for this inplace_function");
    static_assert(alignof(T) <= alignof(std::max_align_t));
    reset();
    new (store_) T(std::forward<F>(f));
    call_ = [](void* s, Args... a) -> R { return (*static_cast<T*>(s))(std::forward<Args>(a)...); };
    if constexpr (std::is_trivially_copyable_v<T>)
      manage_ = nullptr;
    else
      manage_ = [](void* from, void* to) {
        if (to) new (to) T(std::move(*static_cast<T*>(from)));
        static_cast<T*>(from)->~T();
      };
  }
  inplace_function(inplace_function&& o) noexcept { take(o); }
  inplace_function& operator=(inplace_function&& o) noexcept {
    if (this != &o) {
      reset();
      take(o);
    }
    return *this;
  }
  inplace_function(const inplace_function&) = delete;
  inplace_function& operator=(const inplace_function&) = delete;
  ~inplace_function() { reset(); }

  // Hold nothing.
  void reset() {
    if (call_ && manage_) manage_(store_, nullptr);
    call_ = nullptr;
  }
  explicit operator bool() const { return call_ != nullptr; }
  R operator()(Args... a) { return call_(store_, std::forward<Args>(a)...); }

 private:
  void take(inplace_function& o) {
    if (!o.call_) return;
    if (o.manage_)
      o.manage_(o.store_, store_);
    else
      std::memcpy(store_, o.store_, Capacity);
    call_ = std::exchange(o.call_, nullptr);
    manage_ = o.manage_;
  }
  alignas(std::max_align_t) unsigned char store_[Capacity];
  R (*call_)(void*, Args...) = nullptr;
  void (*manage_)(void*, void*) = nullptr;  // null: a copy of the bytes is a move
};

}  // namespace understudy
