/** ESLint rule: a class has at most so many methods (accessors count, the constructor does not) and fields. */
export const classSize = {
  meta: {
    type: 'suggestion',
    schema: [
      {
        type: 'object',
        properties: { methods: { type: 'integer' }, fields: { type: 'integer' } },
        additionalProperties: false,
      },
    ],
    defaultOptions: [{ methods: 20, fields: 10 }],
    messages: { large: 'Class {{name}} has {{count}} {{members}}, at most {{most}} are allowed.' },
  },
  create(context) {
    const [most] = context.options;
    return {
      ClassBody(body) {
        const count = (isOne) => new Set(body.body.filter(isOne).map(keyOf)).size;
        const counts = {
          methods: count(({ type, kind }) => type === 'MethodDefinition' && kind !== 'constructor'),
          fields: count(({ type }) => type === 'PropertyDefinition'),
        };
        for (const members of ['methods', 'fields']) {
          if (counts[members] <= most[members]) continue;
          const name = body.parent.id?.name ?? 'without a name';
          const data = { name, members, count: counts[members], most: most[members] };
          context.report({ node: body.parent.id ?? body, messageId: 'large', data });
        }
      },
    };
  },
};

/** The overloads of a method, and a getter with its setter, are one member. */
function keyOf({ key }) {
  return key.type === 'PrivateIdentifier' ? `#${key.name}` : (key.name ?? key.value ?? key);
}
