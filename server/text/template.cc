#include "server/text/template.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <boost/json.hpp>
#include <kainjow/mustache.hpp>
#include <set>
#include <unordered_map>

#include "server/base/canonical_json.h"
#include "server/base/json.h"
#include "server/base/number.h"

namespace millrace {
namespace {

namespace mustache = kainjow::mustache;

// Most sections in a template: the library recurses into them.
constexpr size_t kSectionsMax = 256;
// Most times that sections are entered in one rendering: lists inside of lists multiply, even if they write nothing.
constexpr size_t kEntriesMax = 1'000'000;
// Most bytes that the library may collect before it writes: it writes whole lines, and a section's loop may be inside
// one line.
constexpr size_t kLineBytesMax = 32u << 20;

// Prefix of a section's name, by which a context distinguishes sections (does a value exist?) from variables (its
// text).
constexpr char kSectionMark = '?';

void AppendText(const json::value& value, std::string& out) {
  switch (value.kind()) {
    case json::kind::null:
      out += "null";
      return;
    case json::kind::bool_:
      out += value.get_bool() ? "true" : "false";
      return;
    case json::kind::int64:
      out += fmt::format("{}", value.get_int64());
      return;
    case json::kind::uint64:
      out += fmt::format("{}", value.get_uint64());
      return;
    case json::kind::double_:
      out += WriteJson(value);
      return;
    case json::kind::string:
      out += WriteJson(value);
      return;
    case json::kind::array: {
      out += '[';
      bool first = true;
      for (const json::value& element : value.get_array()) {
        if (!std::exchange(first, false)) out += ", ";
        AppendText(element, out);
      }
      out += ']';
      return;
    }
    case json::kind::object: {
      out += '{';
      bool first = true;
      for (const json::key_value_pair& member : value.get_object()) {
        if (!std::exchange(first, false)) out += ", ";
        AppendJsonString({member.key().data(), member.key().size()}, out);
        out += ": ";
        AppendText(member.value(), out);
      }
      out += '}';
      return;
    }
  }
}

// Returns the text of a variable.
std::string TextOf(const json::value& value) {
  if (value.is_null()) return {};
  if (const json::string* text = IfText(value)) return std::string(text->data(), text->size());
  std::string out;
  AppendText(value, out);
  return out;
}

bool IsTrue(const json::value& value) {
  if (value.is_null()) return false;
  if (const bool* flag = value.if_bool()) return *flag;
  if (const json::string* text = IfText(value)) return !text->empty();
  return true;
}

// Exception that ends a rendering that grows too large; the library has no other way to stop.
struct TooLarge {};

// Stream that the library writes to.
struct Output {
  Output& operator<<(const std::string& piece) {
    if (text.size() + piece.size() > bytes_max) throw TooLarge();
    text += piece;
    entries_in_line = 0;
    return *this;
  }

  size_t bytes_max;
  std::string text;
  size_t entries_in_line = 0;
};

// Gives the library access to a JSON value without a copy of it as the library's data.
class ItemContext final : public mustache::basic_context<std::string> {
 public:
  ItemContext(const json::value& item, size_t template_bytes, Output& output)
      : template_bytes_(template_bytes), output_(output) {
    frames_.push_back(&item);
  }

  void push(const mustache::data* data) override {
    const auto found = sections_.find(data);
    frames_.push_back(found == sections_.end() ? frames_.back() : found->second);
    if (++entries_ > kEntriesMax || ++output_.entries_in_line * template_bytes_ > kLineBytesMax) throw TooLarge();
  }
  void pop() override { frames_.pop_back(); }

  const mustache::data* get(const std::string& name) const override {
    if (!name.empty() && name[0] == kSectionMark) return Section(std::string_view(name).substr(1));
    const json::value* value = Find(name);
    if (value == nullptr) return nullptr;
    std::string text = TextOf(*value);
    written_ += text.size();
    if (written_ > output_.bytes_max) throw TooLarge();
    variable_ = mustache::data(text);
    return &variable_;
  }

  // Parse refuses partials.
  const mustache::data* get_partial(const std::string&) const override { return nullptr; }

 private:
  const json::value* Find(std::string_view name) const {
    if (name == ".") return frames_.back();
    for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame) {
      if (!(*frame)->is_object()) continue;
      if (const json::value* value = FindPath(**frame, name)) return value;
    }
    return nullptr;
  }

  const mustache::data* Section(std::string_view name) const {
    const json::value* value = Find(name);
    if (value == nullptr || !IsTrue(*value)) return nullptr;
    const auto [made, is_new] = data_.try_emplace(value);
    if (!is_new) return made->second.get();
    if (const json::array* list = value->if_array()) {
      made->second = std::make_unique<mustache::data>(mustache::data::type::list);
      for (size_t i = 0; i < list->size(); ++i) made->second->push_back(true);
      for (size_t i = 0; i < list->size(); ++i) sections_[&made->second->list_value()[i]] = &(*list)[i];
    } else {
      made->second = std::make_unique<mustache::data>(true);
      sections_[made->second.get()] = value;
    }
    return made->second.get();
  }

  const size_t template_bytes_;
  Output& output_;
  std::vector<const json::value*> frames_;
  size_t entries_ = 0;
  mutable size_t written_ = 0;
  mutable mustache::data variable_;
  // The library's data for each value of a section, and the values by data. Never iterated.
  mutable std::unordered_map<const json::value*, std::unique_ptr<mustache::data>> data_;
  mutable std::unordered_map<const mustache::data*, const json::value*> sections_;
};

// Context without values that collects the names that are read. The library enters only inverted sections of it, so the
// names are those outside of sections and in inverted ones.
class FieldsContext final : public mustache::basic_context<std::string> {
 public:
  void push(const mustache::data*) override {}
  void pop() override {}
  const mustache::data* get(const std::string& name) const override {
    fields.insert(!name.empty() && name[0] == kSectionMark ? name.substr(1) : name);
    return nullptr;
  }
  const mustache::data* get_partial(const std::string&) const override { return nullptr; }

  mutable std::set<std::string> fields;
};

Status TemplateError(std::string_view message) { return MakeError(Reason::kTemplate, message); }

}  // namespace

struct Template::Parsed {
  Parsed(const std::string& text, size_t template_bytes) : mustache(text), bytes(template_bytes) {
    mustache.set_custom_escape([](const std::string& piece) { return piece; });
  }

  // Rendering changes only the error message, and only for faults of lambdas and partials, which do not exist here. So
  // threads may share it.
  mustache::mustache mustache;
  size_t bytes;
};

StatusOr<Template> Template::Parse(std::string_view text) {
  static const RE2 kRefused(R"(\{\{\s*([>=]))");
  static const RE2 kSection(R"((\{\{\s*[#^/])\s*)");
  std::string tag;
  if (RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), kRefused, &tag)) {
    return TemplateError(tag == ">" ? "a template can't include another (`{{>`)"
                                    : "a template can't change its delimiters (`{{=`)");
  }
  std::string marked(text);
  if (RE2::GlobalReplace(&marked, kSection, std::string("\\1") + kSectionMark) > static_cast<int>(2 * kSectionsMax)) {
    return TemplateError(fmt::format("more than {} sections", kSectionsMax));
  }
  try {
    auto parsed = std::make_shared<Parsed>(marked, text.size());
    if (!parsed->mustache.is_valid()) {
      std::string message = parsed->mustache.error_message();
      std::erase(message, kSectionMark);
      return TemplateError(message);
    }
    return Template(std::move(parsed));
  } catch (const std::exception&) {  // the library reads past the end of a tag that is cut off
    return TemplateError("the template ends within a tag");
  }
}

StatusOr<std::string> Template::Render(const json::value& item, size_t bytes_max) const {
  Output output{.bytes_max = bytes_max};
  ItemContext context(item, parsed_->bytes, output);
  try {
    parsed_->mustache.render(context, output);
  } catch (const TooLarge&) {
    return MakeError(Reason::kTemplate, fmt::format("the rendered text has more than {} bytes", bytes_max));
  }
  return std::move(output.text);
}

std::vector<std::string> Template::Fields() const {
  FieldsContext context;
  Output output{.bytes_max = parsed_->bytes};
  parsed_->mustache.render(context, output);
  return {context.fields.begin(), context.fields.end()};
}

}  // namespace millrace
