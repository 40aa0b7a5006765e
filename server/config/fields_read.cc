#include "server/config/fields_read.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "server/config/field_path.h"
#include "server/config/field_value.h"
#include "server/config/rules.h"
#include "server/stages/registry.h"
#include "server/text/nearest.h"
#include "server/text/template.h"

namespace millrace {
namespace {

using google::protobuf::FieldDescriptor;

// Fields of the items between two stages.
struct Flow {
  FieldTree fields;
  std::set<std::string> sources;  // fetches that were looked at and from which the items come
};

// The outermost list that holds a field, and the element. Elements (rules) work one after the other: each sees what
// those before it wrote.
struct ListPlace {
  std::string list;
  size_t index = 0;
};
ListPlace ListPlaceOf(const std::string& path) {
  const size_t bracket = path.find('[');
  ListPlace place;
  if (bracket == std::string::npos) return place;
  const char* begin = path.data() + bracket + 1;
  if (std::from_chars(begin, path.data() + path.size(), place.index).ec == std::errc()) {
    place.list = path.substr(0, bracket);
  }
  return place;
}

class FieldFlow {
 public:
  FieldFlow(const v1::Pipeline& pipeline, const StageRegistry& stages, const SourcesSeen& sources)
      : pipeline_(pipeline), registry_(stages), sources_(sources) {
    for (int i = 0; i < pipeline.stages_size(); ++i) index_.emplace(pipeline.stages(i).name(), i);
    if (pipeline.bindings().empty()) return;
    v1::Pipeline copy = pipeline;
    for (const v1::Binding& binding : pipeline.bindings()) {
      bound_.insert(binding.path());
      const StatusOr<std::vector<FieldRef>> way = ResolvePath(copy, binding.path());
      if (!way.ok() || way->empty()) continue;
      const v1::FieldRules& rules = RulesOf(*way->back().field);
      if (rules.effect() == v1::FIELD_EFFECT_RESULT && !rules.item_template()) open_.insert(binding.path());
    }
  }

  std::vector<FieldViolation> Run() {
    for (int i = 0; i < pipeline_.stages_size(); ++i) OutputOf(i);
    for (int i = 0; i < pipeline_.measures_size(); ++i) CheckMeasure(i);
    return std::move(violations_);
  }

 private:
  // Returns the fields of a stage's items. Checks the fields that the stage reads on the first call.
  const Flow& OutputOf(int index) {
    if (const auto found = outputs_.find(index); found != outputs_.end()) return found->second;
    outputs_[index] = {FieldTree::Any(), {}};  // in a cycle, nothing is known
    const v1::Stage& stage = pipeline_.stages(index);
    const StageKind* kind = registry_.Of(stage);
    const bool fetches = kind != nullptr && kind->shape == StageShape::kFetch;
    Flow input = InputOf(stage);
    Flow output = input;
    if (fetches) {
      if (const auto seen = sources_.find(stage.name()); seen != sources_.end()) {
        output = {seen->second.fields, {stage.name()}};
      }
      for (const std::string& field : stage.optional()) output.fields.Put(field);
      CheckReads(index, kind, output);
      return outputs_[index] = std::move(output);
    }
    for (const std::string& field : stage.optional()) input.fields.Put(field);
    const std::vector<std::string> written = CheckReads(index, kind, input);
    StageKind::Fields made;
    if (kind != nullptr && kind->fields) made = kind->fields(stage);
    output = made.fresh && !stage.has_when() ? Flow() : std::move(input);
    for (const std::string& field : stage.optional()) output.fields.Put(field);
    for (const std::string& field : written) {
      if (made.made.Find(field) == nullptr) output.fields.Put(field);
    }
    output.fields.Add(IsOpen(index) ? FieldTree::Any() : made.made);
    return outputs_[index] = std::move(output);
  }

  Flow InputOf(const v1::Stage& stage) {
    Flow input;
    if (stage.needs_size() == 0) input.fields = FieldTree::Any();
    for (const std::string& need : stage.needs()) {
      const auto found = index_.find(need);
      if (found == index_.end()) {
        input.fields = FieldTree::Any();
        continue;
      }
      const Flow& made = OutputOf(found->second);
      input.fields.Add(made.fields);
      input.sources.insert(made.sources.begin(), made.sources.end());
    }
    return input;
  }

  // Returns true if a parameter decides about fields that the stage makes.
  bool IsOpen(int index) const {
    const std::string root = PathOfElement("stages", static_cast<size_t>(index)) + ".";
    return std::any_of(open_.begin(), open_.end(), [&](const std::string& path) { return path.starts_with(root); });
  }

  // Returns the fields that the stage's definition says it writes.
  std::vector<std::string> CheckReads(int index, const StageKind* kind, const Flow& items) {
    const v1::Stage& stage = pipeline_.stages(index);
    const std::string root = PathOfElement("stages", static_cast<size_t>(index));
    const bool open = IsOpen(index);
    std::vector<std::string> written;
    std::string list;                  // the list whose elements are being visited
    size_t element = 0;                // the element
    size_t applied = 0;                // fields of `written` that `in_list` has
    std::optional<FieldTree> in_list;  // fields that the element sees; absent: those of the items
    VisitStrings(stage, "", [&](const FieldDescriptor& field, const std::string& path, const std::string& value) {
      const v1::FieldRules& rules = RulesOf(field);
      if (!rules.reads_field() && !rules.writes_field() && !rules.item_template()) return;
      const std::string at = PathOfField(root, path);
      const ListPlace place = ListPlaceOf(path);
      if (place.list != list) {
        list = place.list;
        in_list.reset();
        applied = written.size();
      } else if (!list.empty() && place.index != element && applied < written.size()) {
        if (!in_list) in_list = items.fields;
        for (; applied < written.size(); ++applied) in_list->Put(written[applied]);
      }
      element = place.index;
      if (!open && !bound_.contains(at)) {
        const FieldTree& known = in_list ? *in_list : items.fields;
        // A default need not exist: it was not written by anybody.
        if (rules.reads_field() && value != rules.default_value()) {
          const bool translates = kind != nullptr && kind->field_read;
          CheckField(translates ? kind->field_read(stage, path, value) : value, at, known, items, "");
        }
        if (rules.item_template()) CheckTemplate(rules.definition_file(), value, at, known, items);
      }
      if (rules.writes_field() && !value.empty()) written.push_back(value);
    });
    return written;
  }

  void CheckTemplate(bool is_file, const std::string& value, const std::string& path, const FieldTree& known,
                     const Flow& items) {
    std::string_view text = value;
    if (is_file) {
      const auto file = pipeline_.files().find(value);
      if (file == pipeline_.files().end()) return;  // refused elsewhere
      text = file->second;
    }
    const StatusOr<Template> parsed = Template::Parse(text);
    if (!parsed.ok()) return;  // the stage refuses it
    for (const TemplateName& name : parsed->Missing(known)) {
      const std::string place = is_file ? fmt::format("{}:{}:{}: ", Excerpt(value), name.line, name.column)
                                        : fmt::format("line {}, column {}: ", name.line, name.column);
      Refuse(name.name, path, known, items, place);
    }
  }

  void CheckField(const std::string& name, const std::string& path, const FieldTree& known, const Flow& items,
                  std::string_view place) {
    if (!name.empty() && known.Find(name) == nullptr) Refuse(name, path, known, items, place);
  }

  void Refuse(const std::string& name, const std::string& path, const FieldTree& known, const Flow& items,
              std::string_view place) {
    std::string what = fmt::format("{}no stage before makes the field \"{}\"", place, Excerpt(name));
    std::string_view joint = ", and it is not in ";
    for (const std::string& source : items.sources) {
      what += fmt::format("{}{} of \"{}\"", joint, sources_.at(source).seen, source);
      joint = " or ";
    }
    what += MeantName(name, known);
    if (!items.sources.empty()) {
      what += fmt::format("{} all items may lack it, add it to `optional` of the stage \"{}\"",
                          what.ends_with('?') ? " If" : "; if", *items.sources.begin());
    }
    violations_.push_back({path, std::move(what)});
  }

  // Returns the field that was probably meant. `input.title` and `row.title` are names of other tools.
  static std::string MeantName(const std::string& name, const FieldTree& known) {
    const size_t dot = name.find('.');
    const std::string rest = dot == std::string::npos ? "" : name.substr(dot + 1);
    if (!rest.empty() && !known.any() && known.Find(rest) != nullptr) {
      return fmt::format("; did you mean \"{}\"?", Excerpt(rest));
    }
    return DidYouMean(name, known.Paths());
  }

  void CheckMeasure(int index) {
    const v1::Measure& measure = pipeline_.measures(index);
    const std::string path = PathOfElement("measures", static_cast<size_t>(index));
    const auto check = [&](const std::string& stage, const std::string& field, std::string_view figure) {
      const auto found = index_.find(stage);
      const std::string at = fmt::format("{}.{}.field", path, figure);
      if (found == index_.end() || bound_.contains(at)) return;
      const Flow& items = OutputOf(found->second);
      CheckField(field, at, items.fields, items, "");
    };
    if (measure.has_mean()) check(measure.mean().stage(), measure.mean().field(), "mean");
    if (measure.has_sum()) check(measure.sum().stage(), measure.sum().field(), "sum");
    if (measure.has_quantile()) check(measure.quantile().stage(), measure.quantile().field(), "quantile");
    const auto check_where = [&](const v1::ItemSet& set, std::string_view figure) {
      const auto found = index_.find(set.stage());
      if (found == index_.end() || !set.has_where()) return;
      const Flow& items = OutputOf(found->second);
      VisitStrings(set.where(), fmt::format("{}.{}.where", path, figure),
                   [&](const FieldDescriptor& field, const std::string& at, const std::string& value) {
                     if (!RulesOf(field).reads_field() || bound_.contains(at)) return;
                     CheckField(value, at, items.fields, items, "");
                   });
    };
    if (measure.has_count()) check_where(measure.count(), "count");
    if (measure.has_share()) check_where(measure.share(), "share");
  }

  const v1::Pipeline& pipeline_;
  const StageRegistry& registry_;
  const SourcesSeen& sources_;
  std::map<std::string, int> index_;  // by name
  BoundPaths bound_;
  BoundPaths open_;              // bound fields that may name a field
  std::map<int, Flow> outputs_;  // references stay valid while it grows
  std::vector<FieldViolation> violations_;
};

}  // namespace

std::vector<FieldViolation> FieldsReadUnmade(const v1::Pipeline& pipeline, const StageRegistry& stages,
                                             const SourcesSeen& sources) {
  if (pipeline.stages_size() > 100) return {};  // refused elsewhere; the recursion is as deep as the graph
  return FieldFlow(pipeline, stages, sources).Run();
}

}  // namespace millrace
