/**
 * Gives an object methods of its own for a while. It gets them by another prototype, and its former
 * one back: V8 then gives it its former shape, and with that the code that was compiled for it. A
 * property that is added and deleted would leave the object a slow one for ever.
 */

/**
 * Has an object use other methods than those of its class.
 *
 * @param object The object.
 * @param methods The methods.
 * @returns Gives it those of its class back.
 */
export function ownMethods<Target extends object>(
  object: Target,
  methods: Partial<Target> & ThisType<Target>,
): () => void {
  const former = Object.getPrototypeOf(object);
  Object.setPrototypeOf(object, Object.setPrototypeOf(methods, former));
  return () => void Object.setPrototypeOf(object, former);
}
